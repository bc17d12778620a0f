//! Limits of an agent or an organization: actions in a time window, spend in a calendar period.

use chrono::{Datelike, Duration, NaiveDate, TimeZone, Utc};
use serde::{Deserialize, Serialize};

use crate::{Micros, clock::Timestamp};

/// The limits of one scope (an agent or an organization). `None` means no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    pub max_actions_per_minute: Option<u32>,
    pub max_actions_per_hour: Option<u32>,
    pub max_actions_per_day: Option<u32>,
    pub max_spend_per_day: Option<Micros>,
    pub max_spend_per_month: Option<Micros>,
}

/// A time window of an action limit. The allowance refills evenly (GCRA); the burst is the whole limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Window {
    Minute,
    Hour,
    Day,
}

impl Window {
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    pub fn limit(self, limits: &Limits) -> Option<u32> {
        match self {
            Self::Minute => limits.max_actions_per_minute,
            Self::Hour => limits.max_actions_per_hour,
            Self::Day => limits.max_actions_per_day,
        }
    }
}

/// A calendar period in UTC of a spend limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Period {
    Day,
    Month,
}

impl Period {
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the name of the current period: `2026-11-22` or `2026-11`.
    pub fn key(self, now: Timestamp) -> String {
        match self {
            Self::Day => now.format("%Y-%m-%d").to_string(),
            Self::Month => now.format("%Y-%m").to_string(),
        }
    }

    pub fn limit(self, limits: &Limits) -> Option<Micros> {
        match self {
            Self::Day => limits.max_spend_per_day,
            Self::Month => limits.max_spend_per_month,
        }
    }

    /// Returns the start of the next period.
    pub fn end(self, now: Timestamp) -> Timestamp {
        let today = now.date_naive();
        let next = match self {
            Self::Day => today + Duration::days(1),
            Self::Month => {
                let (year, month) = if today.month() == 12 {
                    (today.year() + 1, 1)
                } else {
                    (today.year(), today.month() + 1)
                };
                NaiveDate::from_ymd_opt(year, month, 1).unwrap_or(today)
            }
        };
        Utc.from_utc_datetime(&next.and_time(chrono::NaiveTime::MIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn period_ends_at_start_of_next() {
        let eve = Utc.with_ymd_and_hms(2026, 12, 31, 23, 59, 59).unwrap();
        let new_year = Utc.with_ymd_and_hms(2027, 1, 1, 0, 0, 0).unwrap();
        assert_eq!(Period::Day.end(eve), new_year);
        assert_eq!(Period::Month.end(eve), new_year);
        assert_eq!(Period::Month.key(eve), "2026-12");
    }

    #[test]
    fn keeps_wire_strings_of_windows_and_periods() {
        assert_eq!(Window::ALL.map(Window::as_str), ["minute", "hour", "day"]);
        assert_eq!(Period::ALL.map(Period::as_str), ["day", "month"]);
    }
}
