//! The patterns of all languages, found by their first words.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use butt_dial_domain::inbound::Keyword;

use super::normalize::{fold, words};
use crate::languages::{self, Language};

/// The words of a text, as they are written and without accents.
pub(super) struct Words {
    pub written: Vec<String>,
    pub folded: Vec<String>,
    /// Whether the text has no small letter.
    pub in_capitals: bool,
}

impl Words {
    pub(super) fn read(text: &str) -> Self {
        Self::new(words(text), text)
    }

    pub(super) fn new(written: Vec<String>, text: &str) -> Self {
        Self {
            folded: written.iter().map(|word| fold(word)).collect(),
            written,
            in_capitals: !text.chars().any(char::is_lowercase),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.written.len()
    }
}

pub(super) struct Pattern {
    pub keyword: Keyword,
    /// Counts only without other words.
    pub is_alone: bool,
    groups: Vec<Group>,
}

struct Group {
    is_optional: bool,
    choices: Vec<Choice>,
}

struct Choice {
    words: Vec<String>,
    /// Its accents are not optional.
    is_exact: bool,
    /// Counts in a text in capitals only.
    in_capitals: bool,
}

#[derive(Default)]
pub(super) struct Table {
    patterns: Vec<Pattern>,
    /// The patterns that can begin with a word.
    by_word: HashMap<String, Vec<usize>>,
    polite: HashSet<Vec<String>>,
    longest_polite: usize,
}

pub(super) static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::default();
    for language in languages::ALL {
        table.add(language);
    }
    table
});

impl Table {
    /// Returns the patterns that fit the words from `start`, each with the place after its last word.
    pub(super) fn find<'a>(&'a self, words: &'a Words, start: usize) -> impl Iterator<Item = (&'a Pattern, usize)> {
        let first = words.folded.get(start);
        let found = first.and_then(|word| self.by_word.get(word)).into_iter().flatten();
        found.flat_map(move |at| {
            let pattern = &self.patterns[*at];
            pattern.ends(words, start).into_iter().map(move |end| (pattern, end))
        })
    }

    /// Returns the places after the polite phrases that begin at `start`.
    pub(super) fn polite_ends(&self, words: &Words, start: usize) -> Vec<usize> {
        let last = words.len().min(start + self.longest_polite);
        (start + 1..=last)
            .filter(|end| self.polite.contains(&words.folded[start..*end]))
            .collect()
    }

    fn add(&mut self, language: &Language) {
        for (patterns, keyword, is_alone) in [
            (language.stop, Keyword::Stop, false),
            (language.stop_alone, Keyword::Stop, true),
            (language.start, Keyword::Start, true),
            (language.help, Keyword::Help, true),
        ] {
            for text in patterns {
                let pattern = Pattern::read(text, keyword, is_alone);
                for word in pattern.first_words() {
                    let known = self.by_word.entry(word).or_default();
                    if known.last() != Some(&self.patterns.len()) {
                        known.push(self.patterns.len());
                    }
                }
                self.patterns.push(pattern);
            }
        }
        for phrase in language.polite {
            let words = folded(phrase);
            self.longest_polite = self.longest_polite.max(words.len());
            self.polite.insert(words);
        }
    }
}

impl Pattern {
    fn read(text: &str, keyword: Keyword, is_alone: bool) -> Self {
        let groups = text.split_whitespace().map(|group| {
            let optional = group.strip_prefix('[').and_then(|group| group.strip_suffix(']'));
            Group {
                is_optional: optional.is_some(),
                choices: optional.unwrap_or(group).split('|').map(Choice::read).collect(),
            }
        });
        Self {
            keyword,
            is_alone,
            groups: groups.collect(),
        }
    }

    fn first_words(&self) -> Vec<String> {
        let mut first = Vec::new();
        for group in &self.groups {
            first.extend(
                group
                    .choices
                    .iter()
                    .filter_map(|choice| choice.words.first())
                    .map(|word| fold(word)),
            );
            if !group.is_optional {
                break;
            }
        }
        first
    }

    fn ends(&self, words: &Words, start: usize) -> Vec<usize> {
        let mut places = vec![start];
        for group in &self.groups {
            let mut next = if group.is_optional { places.clone() } else { Vec::new() };
            for place in places {
                for choice in &group.choices {
                    let end = place + choice.words.len();
                    if choice.fits(words, place) && !next.contains(&end) {
                        next.push(end);
                    }
                }
            }
            places = next;
        }
        places.retain(|end| *end > start);
        places
    }
}

impl Choice {
    fn read(text: &str) -> Self {
        let is_exact = text.contains('=');
        let phrase = text.replace('_', " ");
        Self {
            words: if is_exact { words(&phrase) } else { folded(&phrase) },
            is_exact,
            in_capitals: text.contains('^'),
        }
    }

    fn fits(&self, words: &Words, place: usize) -> bool {
        let written = if self.is_exact { &words.written } else { &words.folded };
        written[place..].starts_with(&self.words) && (words.in_capitals || !self.in_capitals)
    }
}

fn folded(phrase: &str) -> Vec<String> {
    words(phrase).iter().map(|word| fold(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        let words = Words::read(text);
        Pattern::read(pattern, Keyword::Stop, false)
            .ends(&words, 0)
            .contains(&words.len())
    }

    #[test]
    fn patterns_fit_their_phrases_only() {
        for text in ["a c d e", "a e", "b c d e", "B E"] {
            assert!(fits("a|b [c_d] e", text), "{text}");
        }
        for text in ["a", "e", "a c e", "a b e", "a e e", ""] {
            assert!(!fits("a|b [c_d] e", text), "{text}");
        }
        assert!(fits("=dừng", "DỪNG") && !fits("=dừng", "dung") && fits("hủy", "huy"));
        assert!(fits("^dur", "DUR") && !fits("^dur", "Dur"));
    }

    #[test]
    fn patterns_are_well_formed() {
        for language in languages::ALL {
            let all = [language.stop, language.stop_alone, language.start, language.help];
            for pattern in all.concat() {
                let is_group = |group: &str| group.starts_with('[') == group.ends_with(']') && !group.contains("||");
                assert!(pattern.split(' ').all(is_group), "{pattern}");
                let read = Pattern::read(pattern, Keyword::Stop, false);
                assert!(read.groups.iter().any(|group| !group.is_optional), "{pattern}");
                let is_empty = |group: &Group| group.choices.iter().any(|choice| choice.words.is_empty());
                assert!(!read.groups.iter().any(is_empty), "{pattern}");
            }
        }
    }

    #[test]
    fn words_of_start_and_help_are_no_stop() {
        for language in languages::ALL {
            for pattern in [language.start, language.help].concat() {
                for choice in Pattern::read(pattern, Keyword::Start, true).groups[0].choices.iter() {
                    let words = Words::new(choice.words.clone(), "");
                    let is_stop =
                        |(pattern, end): (&Pattern, usize)| pattern.keyword == Keyword::Stop && end == words.len();
                    assert!(!TABLE.find(&words, 0).any(is_stop), "{pattern}");
                }
            }
        }
    }
}
