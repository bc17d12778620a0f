//! Whatever comes as a webhook of LINE's.

#![no_main]

butt_dial_fuzz::fuzz_webhooks!("line");
