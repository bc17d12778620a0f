//! Whatever comes as a webhook of Resend's.

#![no_main]

butt_dial_fuzz::fuzz_webhooks!("resend");
