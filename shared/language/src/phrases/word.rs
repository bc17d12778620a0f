//! A word as the patterns see it: in plain form, without prefix and repeated letters.

use std::ops::RangeInclusive;

use crate::keywords::normalize::{fold, without_repetition};

/// Words before an apostrophe that are words of their own in French and Italian. Other apostrophes are within a word.
pub(crate) const ELISIONS: &[&str] = &[
    "l", "d", "m", "n", "j", "s", "c", "v", "qu", "jusqu", "lorsqu", "puisqu", "dell", "all", "nell", "dall", "sull",
    "un", "quest", "quell", "senz", "nessun",
];

/// Prefixes of Arabic and Hebrew that are written together with a word: "and", "the", "with", "to".
const ARABIC: &[&str] = &[
    "وال", "بال", "فال", "كال", "هال", "عال", "لل", "ال", "و", "ب", "ف", "ل", "ه",
];
const HEBREW: &[&str] = &[
    "מה", "שה", "וה", "בה", "לה", "ומ", "וב", "ול", "וש", "ה", "ו", "ב", "ל", "מ", "ש", "כ",
];

/// A form of a word in the sentence that begins with a capital letter.
pub(crate) const NAME: &str = "%name";

/// An address of mail, an address of the web, one that ends with an equals sign, digits as in a telephone number, and letters
/// without words as in encoded data.
pub(crate) const MAIL: &str = "%mail";
pub(crate) const LINK: &str = "%link";
pub(crate) const OPEN_LINK: &str = "%openlink";
pub(crate) const NUMBER: &str = "%number";
pub(crate) const BLOB: &str = "%blob";

/// The classes of words that a pattern can name.
pub(super) const CLASSES: &[&str] = &[NAME, MAIL, LINK, OPEN_LINK, NUMBER, BLOB];

/// A word without prefix has at least so many letters.
const MIN_STEM: usize = 3;

/// In letters: the rest of a longer word is not read.
const MAX_WORD: usize = 40;

pub(crate) struct Word {
    /// The word, and the forms that it can be read as: without repeated letters, without prefix.
    pub forms: Vec<String>,
    pub starts_sentence: bool,
    pub starts_clause: bool,
}

/// Returns the forms that a word can be read as; the whole word is the last.
pub(crate) fn forms(word: &str) -> Vec<String> {
    let word: String = fold(word).chars().take(MAX_WORD).collect();
    let mut forms = Vec::new();
    let short = without_repetition(&word);
    if short != word {
        forms.push(short);
    }
    for (script, prefixes) in [(arabic(), ARABIC), (hebrew(), HEBREW)] {
        if !word.chars().all(|c| script.contains(&c)) {
            continue;
        }
        let stems = prefixes.iter().filter_map(|prefix| word.strip_prefix(prefix));
        forms.extend(stems.filter(|stem| stem.chars().count() >= MIN_STEM).map(str::to_owned));
    }
    forms.push(word);
    forms
}

fn arabic() -> RangeInclusive<char> {
    '\u{600}'..='\u{6ff}'
}

fn hebrew() -> RangeInclusive<char> {
    '\u{590}'..='\u{5ff}'
}

/// Whether a character is of a script without spaces: Chinese, or Japanese syllables.
pub(crate) fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_without_prefix_and_repeated_letters() {
        for (word, form) in [
            ("stoppp", "stop"),
            ("والرسائل", "رسايل"),
            ("מההודעות", "הודעות"),
            ("no", "no"),
        ] {
            let read = forms(word);
            assert!(read.iter().any(|read| read == form), "{word}: {read:?}");
        }
        assert!(forms(&"a".repeat(1000)).iter().all(|form| form.len() <= MAX_WORD));
    }
}
