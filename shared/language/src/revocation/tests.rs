//! The corpora of both kinds: recall and precision per language, on the half that the patterns were written for and on the
//! other, which only measures.

use std::collections::BTreeMap;

use super::*;
use crate::keywords::{Keyword, keyword};

// The numbers of today: a change of the patterns must not be worse.
const DEV_CLEAR: usize = 295;
const DEV_LIKELY: usize = 62;
const TEST_FOUND: usize = 345;
const TEST_CLEAR: usize = 278;
const TEST_FALSE: usize = 9;
const TEST_LIKELY: usize = 67;

/// States that are active at once, on average: a tenth of the automaton.
const MAX_ACTIVE: usize = 1_500;

#[derive(Debug)]
pub(crate) struct Line {
    language: String,
    pub text: String,
    pub is_test: bool,
}

/// Reads a corpus: comma-separated, with texts of several lines in quotes.
pub(crate) fn corpus(text: &str) -> Vec<Line> {
    let (mut rows, mut row, mut field) = (Vec::new(), Vec::new(), String::new());
    let mut is_quoted = false;
    for c in text.chars() {
        match c {
            '"' => {
                // Two quotes in quotes are one.
                if !is_quoted && field.ends_with('\u{0}') {
                    field.pop();
                    field.push('"');
                }
                if is_quoted {
                    field.push('\u{0}');
                }
                is_quoted = !is_quoted;
            }
            ',' | '\n' if !is_quoted => {
                row.push(std::mem::take(&mut field).replace('\u{0}', ""));
                if c == '\n' {
                    rows.push(std::mem::take(&mut row));
                }
            }
            c => field.push(c),
        }
    }
    rows.iter()
        .skip(1)
        .map(|row| Line {
            language: row[0].clone(),
            text: row[1].clone(),
            is_test: row[2] == "test",
        })
        .collect()
}

/// How many lines are found, of how many.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    clear: usize,
    likely: usize,
    all: usize,
}

fn classify(text: &str) -> Option<Certainty> {
    if keyword(text) == Some(Keyword::Stop) {
        return Some(Certainty::Clear);
    }
    revocation(text).map(|found| found.certainty)
}

/// Counts the lines of a half by language, and all of them.
fn count(text: &str, is_test: bool) -> BTreeMap<String, Count> {
    let mut counts: BTreeMap<String, Count> = BTreeMap::new();
    for line in corpus(text).iter().filter(|line| line.is_test == is_test) {
        let found = classify(&line.text);
        for key in [line.language.as_str(), "all"] {
            let count = counts.entry(key.to_owned()).or_default();
            count.all += 1;
            count.clear += usize::from(found == Some(Certainty::Clear));
            count.likely += usize::from(found == Some(Certainty::Likely));
        }
    }
    counts
}

/// Prints recall and precision by language, and returns the counts of all revocations and all benign lines.
fn measure(is_test: bool) -> (Count, Count) {
    let revocations = count(include_str!("corpus/revocation.csv"), is_test);
    let benign = count(include_str!("corpus/benign.csv"), is_test);
    for (language, count) in &revocations {
        let other = benign[language];
        let found = count.clear + count.likely;
        let recall = found as f64 / count.all as f64;
        let precision = found as f64 / (found + other.clear + other.likely) as f64;
        let clear_precision = count.clear as f64 / (count.clear + other.clear) as f64;
        println!(
            "{language}: recall {recall:.3} ({} clear, {} likely of {}), precision {precision:.3}, of clear \
             {clear_precision:.3} (benign: {} clear, {} likely of {})",
            count.clear, count.likely, count.all, other.clear, other.likely, other.all
        );
    }
    (revocations["all"], benign["all"])
}

#[test]
fn patterns_are_well_formed() {
    for file in PATTERNS {
        assert_eq!(Automaton::read([*file], Kind::of).err(), None);
    }
    for line in [
        "clear: a |b",
        "clear: ..",
        "clear: .. a",
        "clear: [a]",
        "clear: @none",
        "other: a",
        "@a",
        "a",
    ] {
        assert!(Automaton::read([line], Kind::of).is_err(), "{line}");
    }
}

#[test]
fn known_half_of_the_corpora_is_found() {
    let (revocations, benign) = measure(false);
    assert_eq!(revocations.clear + revocations.likely, revocations.all);
    assert!(revocations.clear >= DEV_CLEAR, "{revocations:?}");
    assert_eq!(benign.clear, 0);
    assert!(benign.likely <= DEV_LIKELY, "{benign:?}");
}

#[test]
fn held_out_half_of_the_corpora_is_found() {
    let (revocations, benign) = measure(true);
    assert!(revocations.clear + revocations.likely >= TEST_FOUND, "{revocations:?}");
    assert!(revocations.clear >= TEST_CLEAR, "{revocations:?}");
    assert!(benign.clear <= TEST_FALSE, "{benign:?}");
    assert!(benign.likely <= TEST_LIKELY, "{benign:?}");
}

#[test]
fn no_text_of_the_keywords_corpus_is_clear() {
    for line in include_str!("../keywords/corpus/other.txt").lines() {
        let text = line.replace("\\r", "\r").replace("\\n", "\n");
        if !line.starts_with('#') {
            assert_ne!(classify(&text), Some(Certainty::Clear), "{text}");
        }
    }
}

#[test]
fn texts_to_a_wrong_number_have_the_flag() {
    for (text, expected) in [
        ("wrong number, stop texting me", true),
        ("Sie haben die falsche Nummer, bitte nicht mehr anrufen", true),
        ("número equivocado, no me escriban más", true),
        ("טעות במספר, תפסיקו להתקשר", true),
        ("stop texting me", false),
    ] {
        let found = revocation(text);
        assert_eq!(found.map(|found| found.wrong_number), Some(expected), "{text}");
        assert_eq!(found.map(|found| found.certainty), Some(Certainty::Clear), "{text}");
    }
    assert_eq!(revocation("the wrong number is on my invoice"), None);
}

#[test]
fn vetoes_and_doubts_overrule_patterns() {
    for text in [
        "don't stop texting me",
        "stop by at 5",
        "please cancel my appointment",
        "unsubscribe button is broken",
    ] {
        assert_ne!(classify(text), Some(Certainty::Clear), "{text}");
    }
    assert_eq!(revocation("don't stop"), None);
    let mut patterns = vec!["clear: a b", "filler: x"];
    let find_in = |patterns: &[&str], text: &str| {
        let automaton = Automaton::read([patterns.join("\n").as_str()], Kind::of).ok();
        automaton
            .and_then(|automaton| find(&automaton, text))
            .map(|found| found.certainty)
    };
    assert_eq!(find_in(&patterns, "c a b d"), Some(Certainty::Clear));
    assert_eq!(find_in(&patterns, "a, b"), None);
    patterns.push("doubt: b c");
    assert_eq!(find_in(&patterns, "a b c"), Some(Certainty::Likely));
    patterns.push("veto: c a");
    assert_eq!(find_in(&patterns, "c a b"), None);
    assert_eq!(
        find_in(&["clear: << a >>", "filler: x"], "x a, x"),
        Some(Certainty::Clear)
    );
    assert_eq!(find_in(&["clear: << a >>", "filler: x"], "x a y"), None);
    assert_eq!(find_in(&["clear: a .. b"], "a 1 2 3 b"), Some(Certainty::Clear));
    assert_eq!(find_in(&["clear: a .. b"], "a 1 2 3 4 b"), None);
    assert_eq!(find_in(&["clear: a ... b"], "a 1, 2 b"), Some(Certainty::Clear));
    assert_eq!(find_in(&["clear: a ... b"], "a. b"), None);
}

#[test]
fn only_the_own_text_of_a_mail_is_read() {
    let quoted =
        "Thank you, see you then.\n\nOn Mon, Mar 2, 2026 at 10:00 AM Agent <agent@b.example> wrote:\n> stop texting me";
    assert_eq!(revocation(quoted), None);
    let long = format!(
        "Please stop emailing me.\n\nOn Mon Agent <a@b.example> wrote:\n{}",
        "> buy\n".repeat(5_000)
    );
    assert_eq!(revocation(&long), None);
    let found = mail_revocation("Re: offer", &long).map(|found| found.certainty);
    assert_eq!(found, Some(Certainty::Clear));
    assert!(mail_revocation("Please remove me from your list", "").is_some());
    assert_eq!(mail_revocation("Re: stop texting me", "See you tomorrow"), None);
}

#[test]
fn work_is_linear_in_the_words_of_hostile_text() {
    let vocabulary: Vec<&str> = PATTERNS
        .iter()
        .flat_map(|file| file.split(|c: char| !c.is_alphabetic()))
        .filter(|word| !word.is_empty())
        .collect();
    let mut texts: Vec<String> = [
        "stop ",
        "no ",
        "don't ",
        "a,",
        "nie ",
        "لا ",
        "me ",
        "אל ",
        "stop.stop ",
        "!",
    ]
    .iter()
    .map(|part| part.repeat(4_000))
    .collect();
    // A simple generator of pseudo-random words of the patterns.
    let mut seed = 17_u64;
    let mut word = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        vocabulary[(seed >> 33) as usize % vocabulary.len()]
    };
    texts.extend((0..4).map(|_| (0..4_000).map(|_| word()).collect::<Vec<_>>().join(" ")));
    for text in texts {
        let words = text::read(&text);
        let (_, half) = matcher::run(&AUTOMATON, &words[..words.len() / 2]);
        let (_, work) = matcher::run(&AUTOMATON, &words);
        assert!(
            work <= words.len() * MAX_ACTIVE && work <= half * 3 + 10_000,
            "{work} {half}"
        );
    }
}
