//! Federal holidays of the US, on which some states forbid solicitations (5 U.S.C. 6103).

use chrono::{Datelike, Days, NaiveDate, Weekday};

/// Returns whether the date is a federal holiday, or the weekday on which it is observed.
pub(crate) fn is_us_federal(date: NaiveDate) -> bool {
    let is_day = |date: NaiveDate| is_holiday(date);
    let next = date.checked_add_days(Days::new(1));
    let previous = date.checked_sub_days(Days::new(1));
    is_day(date)
        // A holiday on a Saturday is observed on Friday, one on a Sunday on Monday.
        || (date.weekday() == Weekday::Fri && next.is_some_and(is_fixed))
        || (date.weekday() == Weekday::Mon && previous.is_some_and(is_fixed))
}

fn is_holiday(date: NaiveDate) -> bool {
    let nth = (date.day() - 1) / 7 + 1;
    let is_last = date
        .checked_add_days(Days::new(7))
        .is_some_and(|next| next.month() != date.month());
    let moving = match (date.month(), date.weekday()) {
        // Martin Luther King, Washington.
        (1 | 2, Weekday::Mon) => nth == 3,
        // Memorial Day.
        (5, Weekday::Mon) => is_last,
        // Labor Day.
        (9, Weekday::Mon) => nth == 1,
        // Columbus Day.
        (10, Weekday::Mon) => nth == 2,
        // Thanksgiving.
        (11, Weekday::Thu) => nth == 4,
        _ => false,
    };
    moving || is_fixed(date)
}

/// New Year, Juneteenth, Independence Day, Veterans Day, Christmas.
fn is_fixed(date: NaiveDate) -> bool {
    matches!(
        (date.month(), date.day()),
        (1, 1) | (6, 19) | (7, 4) | (11, 11) | (12, 25)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_holidays_and_the_days_on_which_they_are_observed() {
        let date = |text: &str| text.parse::<NaiveDate>().unwrap();
        for holiday in [
            "2026-01-01",
            "2026-01-19",
            "2026-02-16",
            "2026-05-25",
            "2026-06-19",
            "2026-07-03",
            "2026-07-04",
            "2026-09-07",
            "2026-10-12",
            "2026-11-11",
            "2026-11-26",
            "2026-12-25",
            "2027-07-05",
            "2027-12-24",
        ] {
            assert!(is_us_federal(date(holiday)), "{holiday}");
        }
        for day in [
            "2026-01-12",
            "2026-05-18",
            "2026-11-19",
            "2026-11-27",
            "2026-12-24",
            "2027-07-02",
        ] {
            assert!(!is_us_federal(date(day)), "{day}");
        }
    }
}
