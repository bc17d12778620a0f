//! Reproducible random numbers: all follow from a seed, which is printed. `SEED=<number>` repeats a run.

use butt_dial_domain::ids;

/// SplitMix64.
pub struct SeededRng(u64);

impl SeededRng {
    pub fn new() -> Self {
        let given = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
        let random = || u64::from_str_radix(&ids::random()[..12], 16).expect("hexadecimal digits");
        let seed = given.unwrap_or_else(random);
        println!("SEED={seed}");
        Self(seed)
    }

    /// Returns a number from 0 to `end`, exclusive.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).expect("a small number")
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}
