//! Fuzzes the words of messages.

#![no_main]

use butt_dial_fuzz::{libfuzzer_sys::fuzz_target, texts};

fuzz_target!(|input: &str| texts::read_message(input));
