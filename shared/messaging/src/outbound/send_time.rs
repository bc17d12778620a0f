//! When a message is sent: the limits of a requested time, and the delays between retries.

use std::time::Duration;

use butt_dial_domain::{Code, Failure, clock::Timestamp};
use chrono::TimeDelta;

/// How far ahead a message may be scheduled.
const MAX_AHEAD: TimeDelta = TimeDelta::days(366);
/// Clocks differ: a time that passed less than this ago counts as now.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);
/// Delays between the attempts of a send that failed with a retryable error.
pub(super) const RETRY_AFTER: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(1_800),
];

/// Checks a requested time. Returns `None` for now. Fails with `InvalidArgument` for a time in the past or more than a year
/// ahead.
pub(super) fn check_time(at: Timestamp, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let refuse = |text: &str| Err(Failure::new(Code::InvalidArgument, text.to_owned()));
    if at < now - CLOCK_SKEW {
        return refuse("scheduledAt is in the past");
    }
    if at > now + MAX_AHEAD {
        return refuse("scheduledAt is more than a year ahead");
    }
    Ok((at > now).then_some(at))
}

/// Returns the time of the second attempt after a retryable failure.
pub(super) fn first_retry_at(now: Timestamp, failure: &Failure) -> Timestamp {
    now + retry_delay(RETRY_AFTER[0], failure)
}

/// Returns the longer of the scheduled delay and the one that the failure asks for.
pub(super) fn retry_delay(scheduled: Duration, failure: &Failure) -> TimeDelta {
    let requested = failure.retry_after_seconds.map(Duration::from_secs).unwrap_or_default();
    TimeDelta::from_std(requested.max(scheduled)).unwrap_or(MAX_AHEAD)
}
