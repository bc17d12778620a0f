//! Corrects the spelling of the common words of attacks, and finds these words in letters without spaces. Other words stay as they
//! are: a correction must not turn an ordinary word into one of an attack.

use std::collections::{HashMap, HashSet};

/// In letters: shorter words are too similar to others.
const MIN_CORRECTED: usize = 6;

/// In words: fewer words without spaces are a compound.
const MIN_PARTS: usize = 3;

/// Letters and the digits or signs that are written for them.
const DIGITS: &[(char, char)] = &[
    ('0', 'o'),
    ('1', 'i'),
    ('3', 'e'),
    ('4', 'a'),
    ('5', 's'),
    ('7', 't'),
    ('8', 'b'),
    ('9', 'g'),
    ('@', 'a'),
    ('$', 's'),
    ('!', 'i'),
    ('|', 'l'),
];

#[derive(Default)]
pub(super) struct Spelling {
    words: HashSet<String>,
    /// Words that are correct although they are similar to others.
    kept: HashSet<String>,
    /// By a word without one of its letters: the words.
    similar: HashMap<String, Vec<String>>,
    /// In bytes.
    longest: usize,
}

impl Spelling {
    /// Reads the words of a file; lines that begin with `keep:` have words that are not corrected.
    pub(super) fn read(text: &str) -> Self {
        let mut spelling = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some(line) = line.strip_prefix("keep:") {
                spelling.kept.extend(line.split_whitespace().map(str::to_owned));
                continue;
            }
            for word in line.split_whitespace() {
                spelling.longest = spelling.longest.max(word.len());
                spelling.words.insert(word.to_owned());
                if word.chars().count() >= MIN_CORRECTED {
                    for shorter in deletions(word) {
                        spelling.similar.entry(shorter).or_default().push(word.to_owned());
                    }
                }
            }
        }
        spelling
    }

    /// Returns the words that a misspelt one can be meant to be: one letter is missing, added, wrong or in the wrong place.
    pub(super) fn correct(&self, word: &str) -> Vec<&str> {
        let length = word.chars().count();
        if length + 1 < MIN_CORRECTED || self.words.contains(word) || self.kept.contains(word) {
            return Vec::new();
        }
        let similar = |shorter: &str| self.similar.get(shorter).into_iter().flatten();
        let mut found: Vec<&str> = similar(word).map(String::as_str).collect();
        if length >= MIN_CORRECTED {
            for shorter in deletions(word) {
                let known = self
                    .words
                    .get(&shorter)
                    .filter(|known| known.chars().count() >= MIN_CORRECTED);
                found.extend(known.into_iter().chain(similar(&shorter)).map(String::as_str));
            }
        }
        found.retain(|found| found.chars().next() == word.chars().next());
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether a word is one of those that are corrected.
    pub(super) fn is_telling(&self, word: &str) -> bool {
        word.len() >= MIN_CORRECTED && self.words.contains(word)
    }

    /// Splits letters into known words; `None` if they are not only known words, or few.
    pub(super) fn split<'a>(&self, letters: &'a str) -> Option<Vec<&'a str>> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < letters.len() {
            let part = self.longest_at(letters, at)?;
            at += part.len();
            parts.push(part);
        }
        (parts.len() >= MIN_PARTS).then_some(parts)
    }

    /// Finds the known words in letters, one after the other.
    pub(super) fn find_all<'a>(&self, letters: &'a str) -> Vec<&'a str> {
        let mut parts = Vec::new();
        let mut at = 0;
        while at < letters.len() {
            match self.longest_at(letters, at) {
                Some(part) => {
                    at += part.len();
                    parts.push(part);
                }
                None => at += letters[at..].chars().next().map_or(1, char::len_utf8),
            }
        }
        parts
    }

    fn longest_at<'a>(&self, letters: &'a str, at: usize) -> Option<&'a str> {
        let end = letters.floor_char_boundary(at + self.longest);
        let ends = (at + 1..=end).rev().filter(|end| letters.is_char_boundary(*end));
        ends.map(|end| &letters[at..end])
            .find(|part| self.words.contains(*part))
    }
}

/// Returns a word without each of its letters except the first.
fn deletions(word: &str) -> impl Iterator<Item = String> + '_ {
    word.char_indices().skip(1).map(move |(at, c)| {
        let mut shorter = String::with_capacity(word.len());
        shorter.push_str(&word[..at]);
        shorter.push_str(&word[at + c.len_utf8()..]);
        shorter
    })
}

/// Returns a word that has digits or signs in place of letters with the letters; there are two readings of "1".
pub(super) fn without_digits(word: &str) -> Vec<String> {
    let is_replaced = |c: char| DIGITS.iter().any(|(digit, _)| *digit == c);
    if !word.chars().any(is_replaced) || !word.chars().any(char::is_alphabetic) {
        return Vec::new();
    }
    let letter = |c: char| {
        DIGITS
            .iter()
            .find(|(digit, _)| *digit == c)
            .map_or(c, |(_, letter)| *letter)
    };
    let mut readings = vec![word.chars().map(letter).collect()];
    if word.contains(['1', '!']) {
        let other = |c: char| if matches!(c, '1' | '!') { 'l' } else { letter(c) };
        readings.push(word.chars().map(other).collect());
    }
    readings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelling() -> Spelling {
        Spelling::read("# words\nignore previous instructions all the\nkeep: ignored")
    }

    #[test]
    fn one_wrong_letter_is_corrected() {
        let spelling = spelling();
        for (word, expected) in [
            ("ignroe", "ignore"),
            ("ignor", "ignore"),
            ("ignoree", "ignore"),
            ("instrutions", "instructions"),
            ("pervious", "previous"),
            ("ignore", ""),
            ("ignored", ""),
            ("signore", ""),
            ("instructor", ""),
            ("al", ""),
        ] {
            assert_eq!(spelling.correct(word).join(" "), expected, "{word}");
        }
    }

    #[test]
    fn letters_without_spaces_are_split() {
        let spelling = spelling();
        let parts = spelling.split("ignoreallpreviousinstructions");
        assert_eq!(parts, Some(vec!["ignore", "all", "previous", "instructions"]));
        assert_eq!(spelling.split("ignoreall"), None);
        assert_eq!(spelling.split("ignoreallyourinstructions"), None);
        assert_eq!(spelling.find_all("xignoreöall"), ["ignore", "all"]);
    }

    #[test]
    fn digits_are_read_as_letters() {
        assert_eq!(without_digits("1gn0r3"), ["ignore", "lgnore"]);
        assert!(without_digits("2026").is_empty());
        assert!(without_digits("word").is_empty());
    }
}
