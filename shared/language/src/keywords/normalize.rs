//! The plain form of words, in which keywords are compared: one case, one script form, no accents, no signs.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::speech::is_invisible;

/// Splits into lower-case words with their accents. Punctuation, emoji and invisible characters are ignored; hyphens and signs
/// between words separate them.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in text.nfkc() {
        if is_invisible(c) || matches!(c, '\u{640}') {
            continue;
        }
        let group = c.general_category_group();
        let is_part = c.is_alphanumeric() || matches!(group, GeneralCategoryGroup::Mark | GeneralCategoryGroup::Number);
        let Some(word) = words.last_mut() else { break };
        if is_part {
            // A dot above, the only trace of the Turkish capital I.
            word.extend(c.to_lowercase().filter(|c| *c != '\u{307}'));
        } else if is_separator(c) && !word.is_empty() {
            words.push(String::new());
        }
    }
    words.retain(|word| !word.is_empty());
    for word in &mut words {
        *word = word.nfc().map(|c| if c == 'ς' { 'σ' } else { c }).collect();
    }
    words
}

/// Whether words on both sides are two. Other signs, such as apostrophes and full stops, are within a word.
fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '-' | '‐'
                | '‑'
                | '–'
                | '—'
                | ','
                | ';'
                | ':'
                | '!'
                | '?'
                | '/'
                | '|'
                | '('
                | ')'
                | '+'
                | '&'
                | '_'
                | '='
                | '…'
                | '¿'
                | '¡'
                | '、'
                | '。'
                | '・'
                | '،'
                | '؛'
                | '؟'
                | '·'
                | '।'
                | '⁄'
                | '~'
                | '>'
                | '<'
        )
}

/// Removes accents of Latin, Greek and Cyrillic letters, and the vowel signs that Arabic and Hebrew usually leave out. The vowels
/// of Indic scripts and Thai stay: they are letters of their words.
pub(crate) fn fold(word: &str) -> String {
    let letters = word.nfd().filter(|c| !is_accent(*c)).nfc();
    let mut folded = String::with_capacity(word.len());
    for c in letters {
        match c {
            'ı' => folded.push('i'),
            'ł' => folded.push('l'),
            'ø' => folded.push('o'),
            'đ' | 'ð' => folded.push('d'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'أ' | 'إ' | 'آ' | 'ٱ' => folded.push('ا'),
            'ى' | 'ی' => folded.push('ي'),
            'ک' => folded.push('ك'),
            'ة' | 'ہ' | 'ھ' => folded.push('ه'),
            c => folded.push(c),
        }
    }
    folded
}

fn is_accent(c: char) -> bool {
    is_combining_mark(c)
        && matches!(
            c,
            '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{670}'
        )
}

/// Reduces letters that are written three times or more to one: "stoooop".
pub(crate) fn without_repetition(word: &str) -> String {
    let chars: Vec<char> = word.chars().collect();
    let mut short = String::with_capacity(word.len());
    for run in chars.chunk_by(|a, b| a == b) {
        let kept = if run.len() >= 3 { 1 } else { run.len() };
        short.extend(&run[..kept]);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_words_in_every_script() {
        for (text, expected) in [
            ("  Stop!! ", vec!["stop"]),
            ("Opt-out", vec!["opt", "out"]),
            ("Don’t", vec!["dont"]),
            ("ＳＴＯＰ", vec!["stop"]),
            ("s\u{200b}t\u{202e}op", vec!["stop"]),
            ("İPTAL", vec!["iptal"]),
            ("STOP 🛑, thanks", vec!["stop", "thanks"]),
            ("बंद करें", vec!["बंद", "करें"]),
            ("ｽﾄｯﾌﾟ", vec!["ストップ"]),
            ("ΔΙΑΚΟΠΉ", vec!["διακοπή"]),
            ("", vec![]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn folds_accents_but_no_vowels() {
        for (word, expected) in [
            ("arrêtez", "arretez"),
            ("über", "uber"),
            ("ДОСТУП", "ДОСТУП"),
            ("إلغاء", "الغاء"),
            ("बंद", "बंद"),
            ("ล่า", "ล่า"),
            ("ガ", "ガ"),
            ("중지", "중지"),
            ("διακοπή", "διακοπη"),
        ] {
            assert_eq!(fold(word), expected);
        }
    }
}
