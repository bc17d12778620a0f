//! Fuzzes the webhooks of Twilio.

#![no_main]

butt_dial_fuzz::fuzz_webhooks!("twilio");
