//! Fuzzes the webhooks of Meta.

#![no_main]

butt_dial_fuzz::fuzz_webhooks!("meta");
