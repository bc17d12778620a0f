//! The matcher of the content filter: one automaton for the words of all patterns, and the state of each pattern.

use std::{collections::HashMap, sync::LazyLock};

use aho_corasick::AhoCorasick;

use super::patterns::{CREDENTIALS, Credential, LINK, PHRASES, Rest, SECRET, SHORTENER, SHORTENERS};

/// The meaning of a word of the automaton.
enum Meaning {
    /// Steps of phrases: the indexes of the phrase and of its step.
    Steps(Vec<(usize, usize)>),
    Credential(&'static Credential),
    Shortener,
}

struct Matcher {
    automaton: AhoCorasick,
    /// By the index of the word in the automaton.
    meanings: Vec<Meaning>,
}

#[expect(
    clippy::expect_used,
    reason = "the patterns are constants, and the tests build the automaton"
)]
static MATCHER: LazyLock<Matcher> = LazyLock::new(|| {
    let mut steps: HashMap<&str, Vec<(usize, usize)>> = HashMap::new();
    for (phrase, pattern) in PHRASES.iter().enumerate() {
        for (step, words) in pattern.steps.iter().enumerate() {
            for word in words.words {
                steps.entry(word).or_default().push((phrase, step));
            }
        }
    }
    let words = steps.into_iter().map(|(word, steps)| (word, Meaning::Steps(steps)));
    let credentials = CREDENTIALS
        .iter()
        .map(|credential| (credential.prefix, Meaning::Credential(credential)));
    let shorteners = SHORTENERS.iter().map(|host| (*host, Meaning::Shortener));
    let (words, meanings): (Vec<_>, Vec<_>) = words.chain(credentials).chain(shorteners).unzip();
    let automaton = AhoCorasick::builder().ascii_case_insensitive(true).build(words);
    Matcher {
        automaton: automaton.expect("constant words"),
        meanings,
    }
});

/// A place in the text.
#[derive(Clone, Copy, Default)]
struct Place {
    byte: usize,
    /// Characters and line breaks before it.
    chars: usize,
    lines: usize,
}

impl Place {
    /// Moves forward to this byte.
    fn advance(&mut self, text: &str, byte: usize) {
        for b in &text.as_bytes()[self.byte..byte] {
            // Not a continuation of a character.
            self.chars += usize::from(b & 0xc0 != 0x80);
            self.lines += usize::from(*b == b'\n');
        }
        self.byte = byte;
    }
}

/// Finds a pattern in the text. Returns why the text is refused.
pub fn find(text: &str) -> Option<&'static str> {
    let matcher = &*MATCHER;
    let mut place = Place::default();
    // The end of the last word of each step that a phrase has reached. A later word is nearer to what follows, so it is the
    // only one that counts. Most texts have no word of a phrase.
    let mut reached: Vec<Vec<Option<Place>>> = Vec::new();
    for hit in matcher.automaton.find_overlapping_iter(text) {
        let (start, end) = (hit.start(), hit.end());
        let word = &text[start..end];
        match &matcher.meanings[hit.pattern().as_usize()] {
            Meaning::Credential(credential) => {
                if word == credential.prefix && is_credential(text, start, end, credential) {
                    return Some(SECRET);
                }
            }
            Meaning::Shortener => {
                let path = text[end..].chars().next();
                if is_boundary(text, start) && path.is_some_and(|c| !c.is_whitespace()) {
                    return Some(SHORTENER);
                }
            }
            Meaning::Steps(steps) => {
                let is_link = LINK.iter().any(|link| word.eq_ignore_ascii_case(link));
                if !(is_link || is_boundary(text, start) && is_boundary(text, end)) {
                    continue;
                }
                if reached.is_empty() {
                    reached = PHRASES.iter().map(|phrase| vec![None; phrase.steps.len()]).collect();
                }
                place.advance(text, end);
                for (phrase, step) in steps {
                    if !follows(
                        &reached[*phrase],
                        *step,
                        PHRASES[*phrase].steps[*step].gap,
                        place,
                        word.len(),
                    ) {
                        continue;
                    }
                    reached[*phrase][*step] = Some(place);
                    if step + 1 == PHRASES[*phrase].steps.len() {
                        return Some(PHRASES[*phrase].reason);
                    }
                }
            }
        }
    }
    None
}

/// Returns whether a word that ends at `end` follows the word of the step before closely enough. Words are ASCII.
fn follows(reached: &[Option<Place>], step: usize, gap: usize, end: Place, length: usize) -> bool {
    let Some(before) = step.checked_sub(1) else {
        return true;
    };
    let start = end.chars - length;
    reached[before]
        .is_some_and(|before| before.lines == end.lines && before.chars <= start && start - before.chars <= gap)
}

fn is_credential(text: &str, start: usize, end: usize, credential: &Credential) -> bool {
    let rest = &text.as_bytes()[end..];
    let run = |max: usize, alphabet: fn(u8) -> bool| rest.iter().take(max).take_while(|b| alphabet(**b)).count();
    match credential.rest {
        Rest::PrivateKey => {
            let length = run(usize::MAX, |b| b.is_ascii_uppercase() || b == b' ');
            rest[..length].ends_with(b"PRIVATE KEY") && rest[length..].starts_with(b"-----")
        }
        Rest::AtLeast(count, alphabet) => is_boundary(text, start) && run(count, alphabet) == count,
        Rest::Exactly(count, alphabet) => {
            is_boundary(text, start) && run(count, alphabet) == count && is_boundary(text, end + count)
        }
    }
}

/// Returns whether a word begins or ends at this byte, in any script.
fn is_boundary(text: &str, byte: usize) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || ('\u{300}'..='\u{36f}').contains(&c);
    let (before, after) = text.split_at(byte);
    before.chars().next_back().is_some_and(is_word) != after.chars().next().is_some_and(is_word)
}
