//! Settings of stored data: encryption keys and retention.

use std::time::Duration;

use butt_dial_messaging::KeepTimes;

use super::{ConfigError, MIN_SECRET_LENGTH, source::Source};

const DAY_SECONDS: f64 = 86_400.0;

/// Returns the operator's keys, the newest first. The single key of older settings is the oldest one, if it is not listed.
pub(super) fn encryption_keys(source: &Source) -> Result<Vec<String>, ConfigError> {
    let mut keys = source.secrets("credentials_encryption_keys", MIN_SECRET_LENGTH)?;
    let single = source.secret("credentials_encryption_key", MIN_SECRET_LENGTH)?;
    if let Some(single) = single.filter(|single| !keys.contains(single)) {
        keys.push(single);
    }
    Ok(keys)
}

pub(super) fn keep_times(source: &Source) -> Result<KeepTimes, ConfigError> {
    let days = |key| {
        let days = source.number_or_none(key, 1.0)?;
        Ok(days.map(|days| Duration::from_secs_f64(days * DAY_SECONDS)))
    };
    Ok(KeepTimes {
        messages: days("keep_messages_days")?,
        attempts: days("keep_attempts_days")?,
        events: days("keep_events_days")?,
        calls: days("keep_calls_days")?,
        audit: days("keep_audit_days")?,
    })
}
