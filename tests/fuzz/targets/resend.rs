//! Fuzzes the webhooks of Resend.

#![no_main]

butt_dial_fuzz::fuzz_webhooks!("resend");
