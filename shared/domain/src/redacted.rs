//! Texts that administrators and hosts choose, as the audit log has them: entries stay for years and are signed, so that an erasure
//! cannot remove an address from them.

/// In place of an address.
const REDACTED: &str = "***";
/// Fewer digits are no number of a person.
const MIN_DIGITS: usize = 9;
/// Between the digits of a number.
pub const SEPARATORS: [char; 7] = [' ', '(', ')', '-', '.', '/', '\u{a0}'];

/// Returns the text without anything that can be a mail address or a telephone number.
pub fn redacted(text: &str) -> String {
    let words = text
        .split_inclusive(char::is_whitespace)
        .map(|word| match word.contains('@') {
            true => format!("{REDACTED}{}", &word[word.trim_end().len()..]),
            false => word.to_owned(),
        });
    without_numbers(&words.collect::<String>())
}

fn without_numbers(text: &str) -> String {
    let (mut clean, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, run) = rest.split_at(start);
        let end = run
            .find(|c: char| !c.is_ascii_digit() && !SEPARATORS.contains(&c))
            .unwrap_or(run.len());
        let number = run[..end].trim_end_matches(SEPARATORS);
        let digits = number.bytes().filter(u8::is_ascii_digit).count();
        clean.push_str(before);
        clean.push_str(if digits >= MIN_DIGITS { REDACTED } else { number });
        rest = &run[number.len()..];
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_redacted() {
        for (text, expected) in [
            ("", ""),
            ("CI of 2026-11-30", "CI of 2026-11-30"),
            ("order-4711", "order-4711"),
            ("lead-14155550123", "lead-***"),
            ("14155550123_2:4930123456", "***_2:***"),
            ("calls for +1 (415) 555-0123 only", "calls for +*** only"),
            ("for Ann@example.com, 3 days", "for *** 3 days"),
        ] {
            assert_eq!(redacted(text), expected);
        }
    }
}
