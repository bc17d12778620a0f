//! Baselines: exponentially weighted moving averages of a number per bucket of five minutes. Pure: no I/O, no clock.
//!
//! Three values describe what is usual: the average of the last hours, the average of the same hour of the week, and the largest value
//! so far, which counts fully until a week is known. Empty buckets are not written; the next value accounts for them.

use butt_dial_domain::{clock::Timestamp, keys};

/// Seconds of a bucket.
pub const BUCKET: i64 = 300;
const PER_HOUR: i64 = 3_600 / BUCKET;
const HOURS: i64 = 168;
const PER_WEEK: i64 = HOURS * PER_HOUR;
/// The epoch was a Thursday.
const HOURS_FROM_MONDAY: i64 = 72;

/// The weight of a new value in the average of the last hours: half of it comes from about half an hour.
const RECENT_WEIGHT: f64 = 0.1;
/// In the average of an hour of the week: most of it comes from the last week.
const WEEKLY_WEIGHT: f64 = 0.1;
/// The largest value fades to a half in about two weeks.
const PEAK_LEFT: f64 = 0.999_8;
/// Every hour of the week is known after this many buckets.
const KNOWN: i64 = PER_WEEK;
/// The share of the largest value that is usual at every hour, because some agents are busy at changing hours.
const ALWAYS_USUAL: f64 = 0.2;

/// A moving average with the newest bucket that is part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Average {
    pub mean: f64,
    pub samples: i64,
    pub bucket: i64,
}

/// The averages of a number.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Baseline {
    pub recent: Option<Average>,
    /// Of the hour of the week that is asked for.
    pub weekly: Option<Average>,
    pub peak: Option<Average>,
}

/// The usual value of a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usual {
    pub value: f64,
    /// Buckets since the first one: how much is known.
    pub samples: i64,
}

/// Returns the bucket of a time.
pub fn bucket_of(at: Timestamp) -> i64 {
    keys::five_minutes(at)
}

/// Returns the hour of the week of a bucket, from Monday, in UTC.
pub fn hour_of_week(bucket: i64) -> i64 {
    (bucket.div_euclid(PER_HOUR) + HOURS_FROM_MONDAY).rem_euclid(HOURS)
}

impl Baseline {
    /// Returns what is usual in a bucket.
    pub fn usual(&self, bucket: i64) -> Usual {
        let Some(recent) = self.recent else {
            return Usual::default();
        };
        let empty = (bucket - recent.bucket - 1).max(0);
        let samples = recent.samples + empty;
        let of_last_hours = recent.mean * left(RECENT_WEIGHT, empty);
        let peak = self.peak.map_or(0.0, |peak| peak.mean);
        let seasonal = match samples >= KNOWN {
            true => {
                let of_hour = |weekly: Average| weekly.mean * left(WEEKLY_WEIGHT, empty_of_hour(weekly.bucket, bucket));
                self.weekly.map_or(0.0, of_hour).max(ALWAYS_USUAL * peak)
            }
            false => peak,
        };
        Usual {
            value: of_last_hours.max(seasonal),
            samples,
        }
    }

    /// Returns the averages with the value of a bucket. A bucket that is part of them already changes nothing.
    pub fn with(&self, value: f64, bucket: i64) -> Self {
        let missed = |average: Average| (bucket - average.bucket - 1).max(0);
        Self {
            recent: fold(self.recent, RECENT_WEIGHT, missed, value, bucket),
            weekly: fold(
                self.weekly,
                WEEKLY_WEIGHT,
                |weekly| empty_of_hour(weekly.bucket, bucket),
                value,
                bucket,
            ),
            peak: Some(match self.peak {
                Some(peak) if peak.bucket >= bucket => peak,
                Some(peak) => Average {
                    mean: (peak.mean * PEAK_LEFT.powf(as_float(bucket - peak.bucket))).max(value),
                    samples: peak.samples + 1,
                    bucket,
                },
                None => Average {
                    mean: value,
                    samples: 1,
                    bucket,
                },
            }),
        }
    }
}

fn fold(
    average: Option<Average>,
    weight: f64,
    missed: impl FnOnce(Average) -> i64,
    value: f64,
    bucket: i64,
) -> Option<Average> {
    Some(match average {
        Some(average) if average.bucket >= bucket => average,
        Some(average) => {
            let missed = missed(average);
            let mean = average.mean * left(weight, missed);
            Average {
                mean: mean + weight * (value - mean),
                samples: average.samples + missed + 1,
                bucket,
            }
        }
        None => Average {
            mean: value,
            samples: 1,
            bucket,
        },
    })
}

/// Returns what is left of an average after empty buckets.
fn left(weight: f64, empty: i64) -> f64 {
    (1.0 - weight).powf(as_float(empty))
}

/// Returns the buckets of the same hour of the week between two buckets of it.
fn empty_of_hour(last: i64, bucket: i64) -> i64 {
    let within_hours = |bucket: i64| {
        let from_monday = bucket + HOURS_FROM_MONDAY * PER_HOUR;
        from_monday.div_euclid(PER_WEEK) * PER_HOUR + from_monday.rem_euclid(PER_HOUR)
    };
    (within_hours(bucket) - within_hours(last) - 1).max(0)
}

/// Converts a count. Counts of this program are far below the numbers that a float can't hold.
pub fn as_float(count: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let float = count as f64;
    float
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Monday, 2026-11-23, midnight.
    const MONDAY: i64 = 1_795_392_000 / BUCKET;

    fn after(values: impl IntoIterator<Item = (i64, f64)>) -> Baseline {
        let mut baseline = Baseline::default();
        for (bucket, value) in values {
            baseline = baseline.with(value, bucket);
        }
        baseline
    }

    #[test]
    fn hours_of_week_begin_on_monday() {
        assert_eq!(hour_of_week(MONDAY), 0);
        assert_eq!(hour_of_week(MONDAY + 12), 1);
        assert_eq!(hour_of_week(MONDAY - 1), 167);
    }

    #[test]
    fn steady_values_are_usual() {
        let baseline = after((0..100).map(|n| (MONDAY + n, 20.0)));
        let usual = baseline.usual(MONDAY + 100);
        assert!((usual.value - 20.0).abs() < 1e-9, "{usual:?}");
        assert_eq!(usual.samples, 100);
    }

    #[test]
    fn empty_buckets_lower_the_average() {
        let filled = after((0..30).map(|n| (MONDAY + n, 100.0)));
        let written = after(
            (0..30)
                .map(|n| (MONDAY + n, 100.0))
                .chain((30..50).map(|n| (MONDAY + n, 0.0))),
        );
        let (lazy, eager) = (filled.recent.unwrap(), written.recent.unwrap());
        let lazy_mean = lazy.mean * left(RECENT_WEIGHT, 20);
        assert!((lazy_mean - eager.mean).abs() < 1e-9, "{lazy:?} {eager:?}");
        assert_eq!(filled.usual(MONDAY + 50).samples, 50);
    }

    #[test]
    fn hour_of_last_week_is_usual_again() {
        let monday_hour = (0..12).map(|n| (MONDAY + n, 300.0));
        let quiet = (12..PER_WEEK).step_by(12).map(|n| (MONDAY + n, 1.0));
        let mut baseline = after(monday_hour);
        let weekly = baseline.weekly;
        for (bucket, value) in quiet {
            baseline.weekly = None;
            baseline = baseline.with(value, bucket);
        }
        baseline.weekly = weekly;
        let again = baseline.usual(MONDAY + PER_WEEK);
        assert!(again.value > 250.0, "{again:?}");
        baseline.weekly = None;
        let quiet = baseline.usual(MONDAY + PER_WEEK + 12);
        assert!(quiet.value < 70.0, "{quiet:?}");
    }

    #[test]
    fn peak_counts_until_a_week_is_known() {
        let baseline = Baseline {
            weekly: None,
            ..after((0..10).map(|n| (MONDAY + n, if n == 3 { 500.0 } else { 2.0 })))
        };
        assert!(baseline.usual(MONDAY + 200).value > 450.0);
    }

    #[test]
    fn same_bucket_counts_once() {
        let once = after([(MONDAY, 5.0)]);
        assert_eq!(once.with(900.0, MONDAY), once);
        assert_eq!(once.with(900.0, MONDAY - 1), once);
    }

    #[test]
    fn no_value_is_usual_without_history() {
        assert_eq!(Baseline::default().usual(MONDAY), Usual::default());
    }
}
