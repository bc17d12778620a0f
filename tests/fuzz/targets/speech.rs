//! Fuzzes texts that are spoken.

#![no_main]

use butt_dial_fuzz::{libfuzzer_sys::fuzz_target, texts};

fuzz_target!(|input: &[u8]| texts::speak(input));
