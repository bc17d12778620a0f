//! The words of a text as the patterns see them: in plain form, with the places where sentences and clauses begin.

use std::ops::RangeInclusive;

use crate::keywords::normalize::{fold, without_repetition, words};

/// Words before an apostrophe that are words of their own in French and Italian. Other apostrophes are within a word.
const ELISIONS: &[&str] = &[
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
pub(super) const NAME: &str = "%name";

/// A word without prefix has at least so many letters.
const MIN_STEM: usize = 3;

/// In letters: the rest of a longer word is not read.
const MAX_WORD: usize = 40;

pub(super) struct Word {
    /// The word, and the forms that it can be read as: without repeated letters, without prefix.
    pub forms: Vec<String>,
    pub starts_sentence: bool,
    pub starts_clause: bool,
}

/// Splits a text into words.
pub(super) fn read(text: &str) -> Vec<Word> {
    let mut found: Vec<Word> = Vec::new();
    let (mut starts_sentence, mut starts_clause) = (true, true);
    for (part, mark) in parts(text) {
        let in_capitals = !part.chars().any(char::is_lowercase);
        for written in part.split_whitespace() {
            let is_name = !in_capitals && !starts_sentence && written.chars().next().is_some_and(char::is_uppercase);
            for word in words(written) {
                let mut forms = forms(&word);
                if is_name {
                    forms.push(NAME.to_owned());
                }
                found.push(Word {
                    forms,
                    starts_sentence: std::mem::take(&mut starts_sentence),
                    starts_clause: std::mem::take(&mut starts_clause),
                });
            }
        }
        starts_sentence |= mark == Mark::Sentence;
        starts_clause = true;
    }
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    Sentence,
    Clause,
}

/// Splits into the parts between marks. A number sign on its own is the word "number", and an elided word is a word.
fn parts(text: &str) -> Vec<(String, Mark)> {
    let mut parts = Vec::new();
    let mut part = String::new();
    // The letters since the last sign.
    let mut letters = String::new();
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied().unwrap_or(' ');
        if let Some(mark) = mark(c, before, next) {
            parts.push((std::mem::take(&mut part), mark));
            letters.clear();
        } else if c.is_alphabetic() {
            part.push(c);
            letters.extend(c.to_lowercase());
        } else {
            let is_apostrophe = matches!(c, '\'' | '’' | 'ʼ' | '´' | '`');
            match c {
                '#' if !before.is_alphanumeric() && !next.is_alphanumeric() => part.push_str(" number "),
                _ if is_apostrophe && ELISIONS.contains(&letters.as_str()) => part.push(' '),
                // "e-mail"
                '-' | '‐' | '‑' if letters == "e" => {}
                _ => part.push(c),
            }
            letters.clear();
        }
        before = c;
    }
    parts.push((part, Mark::Sentence));
    parts
}

fn mark(c: char, before: char, next: char) -> Option<Mark> {
    match c {
        '.' if next.is_alphanumeric() || before == '.' && next == '.' => None,
        '.' | '!' | '?' | ';' | '\n' | '…' | '。' | '！' | '？' | '؛' | '؟' | '．' => Some(Mark::Sentence),
        ',' if before.is_ascii_digit() && next.is_ascii_digit() => None,
        ':' if before.is_ascii_digit() && next.is_ascii_digit() => None,
        ',' | ':' | '(' | ')' | '"' | '“' | '”' | '„' | '«' | '»' | '–' | '—' | '،' | '，' | '：' | '*' => {
            Some(Mark::Clause)
        }
        '-' | '/' if before == ' ' && next == ' ' => Some(Mark::Clause),
        _ => None,
    }
}

fn forms(word: &str) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(text: &str) -> String {
        let words = read(text);
        let shown = words.iter().map(|word| {
            let mark = match (word.starts_sentence, word.starts_clause) {
                (true, _) => "|",
                (_, true) => ",",
                _ => "",
            };
            format!(
                "{mark}{}",
                word.forms
                    .iter()
                    .rfind(|form| *form != NAME)
                    .cloned()
                    .unwrap_or_default()
            )
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn text_is_split_into_sentences_clauses_and_words() {
        for (text, expected) in [
            ("Don't text me. Stop, please!", "|dont text me |stop ,please"),
            ("n'envoyez plus d'e-mails", "|n envoyez plus d emails"),
            ("Wrong # . delete", "|wrong number |delete"),
            ("at 10:30 or a.b.c...", "|at 10 30 or abc"),
            ("one - two-three\nfour", "|one ,two three |four"),
            ("¡Basta!", "|basta"),
            ("", ""),
        ] {
            assert_eq!(marked(text), expected, "{text}");
        }
    }

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
