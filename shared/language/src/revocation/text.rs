//! The words of a text as the patterns see them: in plain form, with the places where sentences and clauses begin.

use crate::{
    keywords::normalize::words,
    phrases::word::{ELISIONS, NAME, Word, forms},
};

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
}
