//! Addresses of a person within texts that hosts and administrators choose: labels, task ids, alerts. Found are the spellings that
//! programs and people write; a number without its country is not.

use std::ops::Range;

use butt_dial_domain::{address::contact_key, redacted::SEPARATORS};
use serde_json::Value;

use super::Person;

/// Replaces an address.
const REMOVED: &str = "***";
/// Fewer digits are no number of a person.
const MIN_DIGITS: usize = 7;
/// In mail addresses, except letters and digits.
const OF_MAIL: &str = "@._%+-'\"=~";

impl Person {
    /// Returns a text without the addresses of the person. `None`: it has none.
    pub fn scrub(&self, text: &str) -> Option<String> {
        let mut found = self.places_in(text);
        found.sort_by_key(|range| range.start);
        let (mut clean, mut end) = (String::new(), 0);
        for range in &found {
            if range.start >= end {
                clean.push_str(&text[end..range.start]);
                clean.push_str(REMOVED);
            }
            end = end.max(range.end);
        }
        clean.push_str(&text[end..]);
        (!found.is_empty()).then_some(clean)
    }

    /// Removes the addresses from all texts of a value. Returns whether there were any.
    pub fn scrub_value(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.scrub(text) {
                Some(clean) => {
                    *text = clean;
                    true
                }
                None => false,
            },
            Value::Array(values) => {
                values
                    .iter_mut()
                    .filter_map(|value| self.scrub_value(value).then_some(()))
                    .count()
                    > 0
            }
            Value::Object(members) => {
                members
                    .values_mut()
                    .filter_map(|value| self.scrub_value(value).then_some(()))
                    .count()
                    > 0
            }
            _ => false,
        }
    }

    /// Finds the places of addresses, in no order. They may overlap.
    fn places_in(&self, text: &str) -> Vec<Range<usize>> {
        let is_digit = |c: char| c.is_ascii_digit();
        let of_number = |c: char| is_digit(c) || SEPARATORS.contains(&c);
        let of_mail = |c: char| c.is_alphanumeric() || OF_MAIL.contains(c);
        let mut found = Vec::new();
        for range in runs(text, is_digit).into_iter().chain(runs(text, of_number)) {
            let run = &text[range.clone()];
            let digits: String = run.chars().filter(char::is_ascii_digit).collect();
            if digits.len() >= MIN_DIGITS && self.has(&format!("+{digits}")) {
                let start = range.end - run.trim_start_matches(SEPARATORS).len();
                // With its plus.
                let start = start - usize::from(text[..start].ends_with('+'));
                found.push(start..range.start + run.trim_end_matches(SEPARATORS).len());
            }
        }
        for range in runs(text, of_mail) {
            let mail = text[range.clone()].trim_end_matches(['.', '-', '\'']);
            if mail.contains('@') && self.keys.contains(&contact_key(mail)) {
                found.push(range.start..range.start + mail.len());
            }
        }
        let lower = text.to_ascii_lowercase();
        for key in self.keys.iter().filter(|key| !key.starts_with('+')) {
            let key = key.to_ascii_lowercase();
            let places = lower.match_indices(&key).map(|(start, key)| start..start + key.len());
            found.extend(places.filter(|range| is_whole(text, range)));
        }
        found
    }
}

/// Returns the longest runs of these characters.
fn runs(text: &str, is_part: impl Fn(char) -> bool) -> Vec<Range<usize>> {
    let (mut runs, mut start) = (Vec::new(), None);
    for (place, c) in text.char_indices() {
        match (is_part(c), start) {
            (true, None) => start = Some(place),
            (false, Some(from)) => {
                runs.push(from..place);
                start = None;
            }
            _ => {}
        }
    }
    runs.extend(start.map(|from| from..text.len()));
    runs
}

/// Returns whether the text continues as another address on neither side.
fn is_whole(text: &str, range: &Range<usize>) -> bool {
    let before = text[..range.start].chars().next_back();
    let mut after = text[range.end..].chars();
    let goes_on = match after.next() {
        Some('.' | '-') => after.next().is_some_and(char::is_alphanumeric),
        Some(c) => c.is_alphanumeric(),
        None => false,
    };
    !goes_on && !before.is_some_and(|c| c.is_alphanumeric() || ".+-".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> Person {
        let keys = ["+14155550123", "+525512345678", "ann@example.com", "US.1"].map(str::to_owned);
        Person {
            hashes: keys.to_vec(),
            keys: keys.to_vec(),
        }
    }

    #[test]
    fn addresses_are_removed_in_any_spelling() {
        for (text, clean) in [
            ("+14155550123", "***"),
            ("call-+14155550123-2", "call-***-2"),
            ("lead_14155550123_b", "lead_***_b"),
            ("Ann, +1 (415) 555-0123!", "Ann, ***!"),
            ("whatsapp:+5215512345678", "whatsapp:***"),
            ("for Ann@Example.com.", "for ***."),
            ("lead_ann@example.com_2", "lead_***_2"),
            ("ann+shop@example.com", "***"),
            ("<ann@example.com>, +14155550123", "<***>, ***"),
            ("of US.1", "of ***"),
        ] {
            assert_eq!(ann().scrub(text).as_deref(), Some(clean), "{text}");
        }
    }

    #[test]
    fn other_addresses_stay() {
        for text in [
            "",
            "ann",
            "example.com",
            "joann@example.com",
            "ann@example.com.au",
            "ann@example.company",
            "141555501234",
            "+14155550124",
            "US.12",
            "order 4155",
        ] {
            assert_eq!(ann().scrub(text), None, "{text}");
        }
        let mut value = serde_json::json!({ "a": ["x", { "b": "to ann@example.com" }], "n": 1 });
        assert!(ann().scrub_value(&mut value));
        assert_eq!(value, serde_json::json!({ "a": ["x", { "b": "to ***" }], "n": 1 }));
        assert!(!ann().scrub_value(&mut value));
    }
}
