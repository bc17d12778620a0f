//! Whatever comes as a webhook of Twilio's.

#![no_main]

butt_dial_fuzz::fuzz_webhooks!("twilio");
