//! Allowed hours of the week, in the local time of a zone.

use chrono::{Datelike, Days, MappedLocalTime, NaiveDate, NaiveTime, TimeDelta, TimeZone, Weekday};
use chrono_tz::Tz;

use butt_dial_domain::clock::Timestamp;

use crate::holidays;

/// Beyond the longest closed time: a week with a holiday on its only open day.
const SEARCH_DAYS: u64 = 15;

/// The open times of each day, from Monday. An open time never passes midnight; its end is excluded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hours([Vec<(NaiveTime, NaiveTime)>; 7]);

/// Whether a time is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpeningTime {
    Open,
    /// Closed until then. `None`: for weeks.
    ClosedUntil(Option<Timestamp>),
}

impl Hours {
    /// Parses lines such as `mon-fri 08:00-21:00`, `sat 09:00-17:00`. 24:00 is the end of a day.
    pub fn parse(lines: &[String]) -> Result<Self, String> {
        let mut hours = Self::default();
        for line in lines {
            let parsed = parse_line(line);
            let (days, open) = parsed.ok_or_else(|| format!("{line:?}: use the form \"mon-fri 08:00-21:00\""))?;
            for day in days {
                hours.0[day].push(open);
            }
        }
        for day in &mut hours.0 {
            day.sort();
        }
        Ok(hours)
    }

    /// Returns whether `at` is open in this zone, and otherwise until when it is closed.
    pub fn opening_at(&self, at: Timestamp, zone: Tz, closed_on_holidays: bool) -> OpeningTime {
        let local = at.with_timezone(&zone).naive_local();
        let today = local.date();
        if self
            .open_times(today, closed_on_holidays)
            .any(|(from, until)| from <= local.time() && is_before(local.time(), until))
        {
            return OpeningTime::Open;
        }
        let days = (0..SEARCH_DAYS).filter_map(|days| today.checked_add_days(Days::new(days)));
        let next = days
            .flat_map(|date| {
                self.open_times(date, closed_on_holidays)
                    .map(move |(from, _)| date.and_time(from))
            })
            .filter(|opening| *opening > local)
            .find_map(|opening| to_utc(opening, zone))
            .filter(|opening| *opening > at);
        OpeningTime::ClosedUntil(next)
    }

    fn open_times(&self, date: NaiveDate, closed_on_holidays: bool) -> impl Iterator<Item = (NaiveTime, NaiveTime)> {
        let is_closed = closed_on_holidays && holidays::is_us_federal(date);
        let day = date.weekday().num_days_from_monday() as usize;
        self.0
            .get(day)
            .into_iter()
            .flatten()
            .copied()
            .filter(move |_| !is_closed)
    }
}

/// The end of a day is stored as its first moment.
fn is_before(time: NaiveTime, until: NaiveTime) -> bool {
    until == NaiveTime::MIN || time < until
}

/// A time that a change of the clocks skips becomes the first one after it; of two equal times, the later one counts.
fn to_utc(local: chrono::NaiveDateTime, zone: Tz) -> Option<Timestamp> {
    let found = match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(time) => Some(time),
        MappedLocalTime::Ambiguous(_, later) => Some(later),
        MappedLocalTime::None => zone.from_local_datetime(&(local + TimeDelta::hours(1))).latest(),
    };
    found.map(|time| time.to_utc())
}

type OpenTime = (NaiveTime, NaiveTime);

fn parse_line(line: &str) -> Option<(std::ops::RangeInclusive<usize>, OpenTime)> {
    let (days, times) = line.trim().split_once(' ')?;
    let day = |text: &str| {
        text.parse::<Weekday>()
            .ok()
            .map(|day| day.num_days_from_monday() as usize)
    };
    let (first, last) = days.split_once('-').unwrap_or((days, days));
    let (first, last) = (day(first)?, day(last)?);
    let (from, until) = times.trim().split_once('-')?;
    let time = |text: &str| NaiveTime::parse_from_str(text, "%H:%M").ok();
    let until = match until {
        "24:00" => NaiveTime::MIN,
        until => time(until)?,
    };
    let from = time(from)?;
    (first <= last && is_before(from, until)).then_some((first..=last, (from, until)))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    fn hours(lines: &[&str]) -> Hours {
        Hours::parse(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn utc(text: &str) -> Timestamp {
        text.parse::<chrono::DateTime<Utc>>().unwrap()
    }

    #[track_caller]
    fn check(hours: &Hours, zone: Tz, at: &str, expected: Option<&str>) {
        let expected = match expected {
            None => OpeningTime::Open,
            Some(until) => OpeningTime::ClosedUntil(Some(utc(until))),
        };
        assert_eq!(hours.opening_at(utc(at), zone, true), expected, "{at} in {zone}");
    }

    #[test]
    fn opens_in_local_time_and_excludes_the_end() {
        let daily = hours(&["mon-sun 08:00-21:00"]);
        let zone = Tz::America__New_York;
        check(&daily, zone, "2026-11-30T13:00:00Z", None);
        check(&daily, zone, "2026-11-30T12:59:59Z", Some("2026-11-30T13:00:00Z"));
        check(&daily, zone, "2026-12-01T01:59:59Z", None);
        check(&daily, zone, "2026-12-01T02:00:00Z", Some("2026-12-01T13:00:00Z"));
    }

    #[test]
    fn finds_next_open_day_over_sundays_and_holidays() {
        let weekdays = hours(&["mon-sat 08:00-20:00"]);
        let zone = Tz::America__Chicago;
        // A Saturday evening before a Sunday, and Christmas Eve 2026, a Thursday.
        check(&weekdays, zone, "2026-11-29T02:30:00Z", Some("2026-11-30T14:00:00Z"));
        check(&weekdays, zone, "2026-12-25T15:00:00Z", Some("2026-12-26T14:00:00Z"));
    }

    #[test]
    fn respects_two_open_times_of_a_day() {
        let french = hours(&["mon-fri 10:00-13:00", "mon-fri 14:00-20:00"]);
        let zone = Tz::Europe__Paris;
        check(&french, zone, "2026-11-30T12:30:00Z", Some("2026-11-30T13:00:00Z"));
        check(&french, zone, "2026-11-30T13:00:00Z", None);
    }

    #[test]
    fn handles_changes_of_the_clocks_and_half_hours() {
        // 2026-03-08 02:30 does not exist in New York: the hour after it opens.
        let night = hours(&["mon-sun 02:30-06:00"]);
        check(
            &night,
            Tz::America__New_York,
            "2026-03-08T06:00:00Z",
            Some("2026-03-08T07:30:00Z"),
        );
        // 2026-11-01 01:30 exists twice: the second one counts.
        let early = hours(&["mon-sun 01:30-06:00"]);
        check(
            &early,
            Tz::America__New_York,
            "2026-11-01T04:00:00Z",
            Some("2026-11-01T06:30:00Z"),
        );
        let daily = hours(&["mon-sun 09:00-21:00"]);
        check(
            &daily,
            Tz::Asia__Kolkata,
            "2026-11-30T03:29:59Z",
            Some("2026-11-30T03:30:00Z"),
        );
        check(
            &daily,
            Tz::America__St_Johns,
            "2026-11-30T12:29:59Z",
            Some("2026-11-30T12:30:00Z"),
        );
    }

    #[test]
    fn refuses_malformed_hours() {
        for line in [
            "",
            "mon",
            "mon 8-20",
            "fri-mon 08:00-20:00",
            "mon 20:00-08:00",
            "day 08:00-20:00",
            "mon 08:00-25:00",
        ] {
            assert!(Hours::parse(&[line.to_owned()]).is_err(), "{line}");
        }
        assert!(Hours::parse(&["sun 00:00-24:00".to_owned()]).is_ok());
    }
}
