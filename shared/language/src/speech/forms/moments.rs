//! Dates and times.

use super::{cursor::Cursor, rules::Rules};

pub(super) fn read(rules: &Rules, start: Cursor<'_>, month_first: bool, before: &str) -> Option<(String, usize)> {
    if !start.peek()?.is_ascii_digit() {
        return None;
    }
    read_iso(rules, start)
        .or_else(|| read_date(rules, start, month_first, before))
        .or_else(|| read_time(rules, start))
}

/// Reads `2026-12-24`.
fn read_iso(rules: &Rules, mut cursor: Cursor<'_>) -> Option<(String, usize)> {
    let year = cursor.digits(5);
    let month = cursor.take("-").then(|| cursor.digits(2))?;
    let day = cursor.take("-").then(|| cursor.digits(2))?;
    let is_date =
        year.len() == 4 && month.len() == 2 && day.len() == 2 && cursor.ends_word() && cursor.peek() != Some('-');
    let (year, month, day) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    (is_date && is_day(day, month)).then(|| {
        (
            (rules.date)(day, usize::try_from(month).unwrap_or(1), Some(year)),
            cursor.at,
        )
    })
}

fn is_day(day: u64, month: u64) -> bool {
    (1..=31).contains(&day) && (1..=12).contains(&month)
}

/// Reads `12/24`, `24/12/2026`, `24.12.2026`, `24.12.`.
fn read_date(rules: &Rules, mut cursor: Cursor<'_>, month_first: bool, before: &str) -> Option<(String, usize)> {
    let first = cursor.digits(2);
    let sign = cursor.peek().filter(|c| matches!(c, '/' | '.' | '-'))?;
    cursor.at += 1;
    let second = cursor.digits(2);
    if second.is_empty() {
        return None;
    }
    let mut end = cursor.at;
    let has_final_sign = cursor.peek() == Some(sign);
    let mut year = String::new();
    if has_final_sign {
        cursor.at += 1;
        year = cursor.digits(4);
        if year.len() == 2 || year.len() == 4 {
            end = cursor.at;
        } else if !year.is_empty() {
            return None;
        }
    }
    let month_first = month_first && sign == '/';
    let (first, second): (u64, u64) = (first.parse().ok()?, second.parse().ok()?);
    let (mut day, mut month) = if month_first { (second, first) } else { (first, second) };
    if !is_day(day, month) && is_day(month, day) && sign == '/' {
        (day, month) = (month, day);
    }
    if !is_day(day, month) || !Cursor::new(cursor.chars, end).ends_word() {
        return None;
    }
    let last_word = before.split_whitespace().next_back().unwrap_or_default().to_lowercase();
    let is_announced = rules.on.contains(&last_word.as_str());
    let is_date = match sign {
        _ if !year.is_empty() => true,
        // "1/2 cup" is no date; "12/24" is no fraction that people write.
        '/' => is_announced || day > 12,
        // The German short form ends with a full stop.
        '.' => has_final_sign && rules.decimal_comma && is_announced,
        _ => false,
    };
    if !is_date {
        return None;
    }
    if sign == '.' && year.is_empty() {
        // A full stop at the end of a sentence stays.
        let after = cursor.chars.get(cursor.at..).unwrap_or_default();
        let goes_on = after
            .iter()
            .find(|c| !c.is_whitespace())
            .is_some_and(|c| c.is_lowercase());
        end = if goes_on { cursor.at } else { end };
    }
    let year = match year.len() {
        2 => Some(2_000 + year.parse::<u64>().ok()?),
        4 => Some(year.parse().ok()?),
        _ => None,
    };
    Some(((rules.date)(day, usize::try_from(month).unwrap_or(1), year), end))
}

/// Reads `9:30 pm`, `14:05`, `9pm`, `14.30 Uhr`, `9h30`.
fn read_time(rules: &Rules, mut cursor: Cursor<'_>) -> Option<(String, usize)> {
    let hour = cursor.digits(2);
    let sign = cursor.peek();
    let mut minute = String::new();
    let with_letter = sign == Some('h') && rules.clock.contains(&"h");
    if matches!(sign, Some(':' | '.')) || with_letter {
        cursor.at += 1;
        minute = cursor.digits(2);
        if minute.len() != 2 && !(with_letter && minute.is_empty()) {
            return None;
        }
        let mut seconds = cursor;
        if sign == Some(':') && seconds.take(":") && seconds.digits(2).len() == 2 {
            cursor = seconds;
        }
    }
    let end = cursor.at;
    let mut after = cursor;
    after.skip_space();
    let half = ["a.m.", "am", "p.m.", "pm"].into_iter().find(|half| {
        let mut taken = after;
        taken.take(half) && (half.ends_with('.') || taken.ends_word())
    });
    let clock = rules.clock.iter().find(|clock| {
        let mut taken = after;
        clock.len() > 1 && taken.take(clock) && taken.ends_word()
    });
    let has_clock = half.is_some() || clock.is_some() || with_letter;
    if !(sign == Some(':') || has_clock) {
        return None;
    }
    let (hour, minute) = (
        hour.parse().ok()?,
        if minute.is_empty() { 0 } else { minute.parse().ok()? },
    );
    let end = match (half, clock) {
        (Some(half), _) => {
            after.take(half);
            after.at
        }
        (_, Some(clock)) => {
            after.take(clock);
            after.at
        }
        _ => end,
    };
    let at_end = Cursor::new(cursor.chars, end);
    let touches_number =
        matches!(at_end.peek(), Some(':' | '.')) && at_end.chars.get(end + 1).is_some_and(char::is_ascii_digit);
    if hour > 24
        || minute > 59
        || (half.is_some() && !(1..=12).contains(&hour))
        || touches_number
        || !at_end.ends_word()
    {
        return None;
    }
    let half = half.map(|half| if half.starts_with('a') { "am" } else { "pm" });
    let mut spoken = (rules.time)(hour, minute, half);
    // "p.m." brings the full stop of the sentence.
    let mut end = end;
    if spoken.ends_with('.') && at_end.peek() == Some('.') {
        end += 1;
    }
    if spoken.ends_with('.') && at_end.peek().is_some_and(|c| matches!(c, '!' | '?')) {
        spoken.pop();
    }
    Some((spoken, end))
}
