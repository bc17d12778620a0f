//! Fuzzes the webhooks of LINE.

#![no_main]

butt_dial_fuzz::fuzz_webhooks!("line");
