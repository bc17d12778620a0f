//! Fuzzes addresses and contact cards.

#![no_main]

use butt_dial_fuzz::{libfuzzer_sys::fuzz_target, texts};

fuzz_target!(|input: &str| texts::parse_address(input));
