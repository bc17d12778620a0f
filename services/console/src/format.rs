//! How pages write times, money, addresses and numbers.

use butt_dial_domain::clock::Timestamp;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde_json::Value;

/// Returns a field of an operation's result as text; empty if it is absent.
pub fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    self::field(value, field).as_str().unwrap_or_default()
}

/// Returns a field by its name in camel case. Some operations write it in snake case.
pub fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    if let Some(found) = value.get(name) {
        return found;
    }
    let mut snake = String::with_capacity(name.len() + 2);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    value.get(&snake).unwrap_or(&Value::Null)
}

/// Returns a list of an operation's result.
pub fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    self::field(value, field).as_array().map_or(&[], Vec::as_slice)
}

/// Writes a time relative to now, with the exact one in UTC behind it.
pub fn time(iso: &str, now: Timestamp) -> Markup {
    let Ok(at) = iso.parse::<DateTime<Utc>>() else {
        return html! { (iso) };
    };
    let exact = at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    html! { time datetime=(iso) title=(exact) class="nowrap" { (relative(at, now)) } }
}

/// Writes the exact time in UTC.
pub fn exact_time(iso: &str) -> Markup {
    match iso.parse::<DateTime<Utc>>() {
        Ok(at) => html! { time datetime=(iso) { (at.format("%Y-%m-%d %H:%M:%S%.3f UTC")) } },
        Err(_) => html! { (iso) },
    }
}

/// Writes the time of day with milliseconds, in UTC.
pub fn clock_time(iso: &str) -> String {
    iso.parse::<DateTime<Utc>>()
        .map_or_else(|_| iso.to_owned(), |at| at.format("%H:%M:%S%.3f").to_string())
}

fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = (now - at).num_seconds();
    let (ago, future) = (seconds.max(0), (-seconds).max(0));
    match (ago, future) {
        (_, f) if f > 86_400 => format!("in {} d", f / 86_400),
        (_, f) if f > 3_600 => format!("in {} h", f / 3_600),
        (_, f) if f > 60 => format!("in {} min", f / 60),
        (_, f) if f > 5 => format!("in {f} s"),
        (a, _) if a < 10 => "just now".into(),
        (a, _) if a < 60 => format!("{a} s ago"),
        (a, _) if a < 3_600 => format!("{} min ago", a / 60),
        (a, _) if a < 86_400 => format!("{} h ago", a / 3_600),
        (a, _) if a < 86_400 * 30 => format!("{} d ago", a / 86_400),
        _ => at.format("%Y-%m-%d").to_string(),
    }
}

/// Writes an amount of US dollars with as many digits as it needs.
pub fn money(amount: f64) -> String {
    let digits = match amount.abs() {
        a if a > 0.0 && a < 0.01 => 4,
        a if a < 1.0 && (a * 1_000.0).round() % 10.0 != 0.0 => 3,
        _ => 2,
    };
    format!("${amount:.digits$}")
}

/// Writes a number with groups of three digits.
pub fn count(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// Masks the address of a person: enough to recognize, not enough to write to.
pub fn masked(address: &str) -> String {
    if let Some((name, domain)) = address.split_once('@') {
        let first: String = name.chars().take(1).collect();
        return format!("{first}•••@{domain}");
    }
    let letters: Vec<char> = address.chars().collect();
    if letters.len() < 7 {
        return "•••".into();
    }
    let (start, end) = (letters.iter().take(4), letters.iter().skip(letters.len() - 2));
    start
        .chain("•••".chars().collect::<Vec<_>>().iter())
        .chain(end)
        .collect()
}

/// Writes the name of a channel.
pub fn channel(name: &str) -> &str {
    match name {
        "sms" => "SMS",
        "whatsapp" => "WhatsApp",
        "email" => "E-mail",
        "voice" => "Call",
        "line" => "LINE",
        "phone" => "Phone",
        "internal" => "Internal",
        "numbers" => "Numbers",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone as _};

    use super::*;

    #[test]
    fn writes_times_relative_to_now() {
        let now = Utc.with_ymd_and_hms(2026, 11, 29, 12, 0, 0).unwrap();
        for (seconds, expected) in [
            (-2, "just now"),
            (42, "42 s ago"),
            (150, "2 min ago"),
            (7_200, "2 h ago"),
            (200_000, "2 d ago"),
            (-90, "in 1 min"),
            (86_400 * 40, "2026-10-20"),
        ] {
            assert_eq!(relative(now - TimeDelta::seconds(seconds), now), expected, "{seconds}");
        }
    }

    #[test]
    fn reads_fields_of_either_casing() {
        let value = serde_json::json!({ "lastFour": "abcd", "last_used_at": "now" });
        assert_eq!(
            (
                text(&value, "lastFour"),
                text(&value, "lastUsedAt"),
                text(&value, "none")
            ),
            ("abcd", "now", "")
        );
    }

    #[test]
    fn writes_money_and_counts() {
        for (amount, expected) in [(0.0, "$0.00"), (0.0079, "$0.0079"), (0.125, "$0.125"), (12.5, "$12.50")] {
            assert_eq!(money(amount), expected);
        }
        for (number, expected) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567")] {
            assert_eq!(count(number), expected);
        }
    }

    #[test]
    fn masks_addresses_of_people() {
        assert_eq!(masked("+14155550123"), "+141•••23");
        assert_eq!(masked("ada@example.com"), "a•••@example.com");
        assert_eq!(masked("12345"), "•••");
    }
}
