//! Spoken forms of numbers, dates and addresses.

use crate::languages;

/// Whether the word is the name of a month, in any language.
pub(super) fn is_month(word: &str) -> bool {
    let word = word.to_lowercase();
    languages::ALL
        .iter()
        .any(|language| language.months.contains(&word.as_str()))
}

pub(super) fn spoken(text: &str, _language: &str) -> String {
    text.to_owned()
}
