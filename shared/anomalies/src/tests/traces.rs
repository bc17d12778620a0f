//! Synthetic traces: values per bucket of five minutes from a Monday on, with what is usual in each.

use std::{collections::HashMap, ops::Range};

use crate::baseline::{BUCKET, Baseline, Usual, as_float, hour_of_week};

/// Buckets of a week.
pub const WEEK: usize = 2_016;
const DAY: usize = 288;
/// Monday, 2026-11-23, midnight.
const MONDAY: i64 = 1_795_392_000 / BUCKET;

#[derive(Default)]
pub struct Trace(Vec<i64>);

impl Trace {
    /// Values of office hours, Monday to Friday, 8 to 18, around a level.
    pub fn office_hours(weeks: usize, level: i64) -> Self {
        Self::of_days(weeks, |_| as_float(level))
    }

    /// Office hours with a level that grows by a factor each day.
    pub fn growing(weeks: usize, factor: f64) -> Self {
        Self::of_days(weeks, |day| 10.0 * factor.powf(day))
    }

    fn of_days(weeks: usize, level: impl Fn(f64) -> f64) -> Self {
        let value = |n: usize| {
            let (day, bucket) = (n / DAY, n % DAY);
            if day % 7 > 4 || !(96..216).contains(&bucket) {
                return 0;
            }
            // Up to five percent around the level.
            let noise = 0.95 + 0.01 * as_float(i64::try_from(n * 7 % 11).unwrap());
            rounded(noise * level(as_float(i64::try_from(day).unwrap())))
        };
        Self((0..weeks * WEEK).map(value).collect())
    }

    pub fn add(&mut self, n: usize, value: i64) {
        if self.0.len() <= n {
            self.0.resize(n + 1, 0);
        }
        self.0[n] += value;
    }

    pub fn multiply(&mut self, range: Range<usize>, factor: i64) {
        self.0[range].iter_mut().for_each(|value| *value *= factor);
    }

    /// Returns the number of each bucket, its value, and what was usual before it. Empty buckets are left out of the baseline, as by
    /// the sweep.
    pub fn values(&self) -> impl Iterator<Item = (usize, i64, Usual)> {
        let mut weekly = HashMap::new();
        let mut baseline = Baseline::default();
        self.0.iter().enumerate().map(move |(n, value)| {
            let bucket = MONDAY + i64::try_from(n).unwrap();
            let hour = hour_of_week(bucket);
            baseline.weekly = weekly.get(&hour).copied();
            let usual = baseline.usual(bucket);
            if *value > 0 {
                baseline = baseline.with(as_float(*value), bucket);
                weekly.extend(baseline.weekly.map(|weekly| (hour, weekly)));
            }
            (n, *value, usual)
        })
    }
}

fn rounded(value: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "small numbers")]
    let rounded = value.round() as i64;
    rounded
}
