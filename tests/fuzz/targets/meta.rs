//! Whatever comes as a webhook of Meta's.

#![no_main]

butt_dial_fuzz::fuzz_webhooks!("meta");
