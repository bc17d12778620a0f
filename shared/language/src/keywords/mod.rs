//! Consent keywords: STOP, START and HELP in all languages, if the message consists of nothing else ("stop by at five" is a
//! message). 47 CFR 64.1200(a)(10) names the English words for STOP, and demands that other clear words count as well.
//! The language of a message is unknown, so the words of all languages count. A false opt-out cuts a person off, so words that
//! mean something else in any language are left out, or count under conditions: see the files of the languages.

pub(crate) mod letter;
pub(crate) mod normalize;
mod table;
#[cfg(test)]
mod tests;

pub use butt_dial_domain::inbound::Keyword;
use letter::OwnText;
use normalize::without_repetition;
use table::{Pattern, TABLE, Words};

/// In bytes: a longer text is not read.
const MAX_TEXT: usize = 20_000;

/// A message with more words is not a keyword.
const MAX_WORDS: usize = 16;

/// Returns the keyword of a message, without quoted lines, signature and polite words. Never read the labels of buttons,
/// captions of media and texts of quoted messages with it.
pub fn keyword(text: &str) -> Option<Keyword> {
    if text.len() > MAX_TEXT {
        return None;
    }
    find_own(&letter::own_text(text))
}

fn find_own(own: &OwnText) -> Option<Keyword> {
    if !own.without_name {
        return find(&own.text);
    }
    // "Cancel - Tuesday" is about an appointment.
    let words = Words::read(&own.text);
    matches(&words, &is_stop).then_some(Keyword::Stop)
}

/// Returns the keyword of a mail: of its text above the quoted mail, or of its subject. The subject of an answer is not the
/// sender's.
pub fn mail_keyword(subject: &str, text: &str) -> Option<Keyword> {
    let own = letter::own_text(clip(text));
    if let Some(keyword) = find_own(&own) {
        return Some(keyword);
    }
    let words = Words::read(clip(subject));
    let has_text = !own.text.is_empty() && !is_polite(&Words::read(&own.text)) && !letter::is_closing(&own.text);
    // "Stop" and "cancel" are also the beginning of a text.
    let is_clear = |word: &String| word.chars().count() > 6 || !word.is_ascii();
    if has_text && !words.written.iter().any(is_clear) {
        return None;
    }
    let fits = |pattern: &Pattern| is_stop(pattern) || (pattern.keyword == Keyword::Stop && !has_text);
    matches(&words, &fits).then_some(Keyword::Stop)
}

fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}

fn find(text: &str) -> Option<Keyword> {
    let mut words = Words::read(text);
    find_words(&words).or_else(|| {
        let short = words.written.iter().map(|word| without_repetition(word)).collect();
        words = Words::new(short, text);
        find_words(&words)
    })
}

fn find_words(words: &Words) -> Option<Keyword> {
    find_alone(words).or_else(|| matches(words, &is_stop).then_some(Keyword::Stop))
}

/// Returns the keyword of a text that consists of its words only.
fn find_alone(words: &Words) -> Option<Keyword> {
    TABLE
        .find(words, 0)
        .find_map(|(pattern, end)| (end == words.len()).then_some(pattern.keyword))
}

/// Whether other words may be around the phrase.
fn is_stop(pattern: &Pattern) -> bool {
    pattern.keyword == Keyword::Stop && !pattern.is_alone
}

/// Whether all words are polite ones.
fn is_polite(words: &Words) -> bool {
    words.len() <= MAX_WORDS && readings(words, &|_| false)[words.len()][0]
}

/// Whether the words are polite ones and at least one phrase that fits: "please stop", "stop, stop now".
fn matches(words: &Words, fits: &dyn Fn(&Pattern) -> bool) -> bool {
    words.len() <= MAX_WORDS && readings(words, fits)[words.len()][1]
}

/// Returns for each place whether the words before it can be read as polite words, and as polite words and phrases.
fn readings(words: &Words, fits: &dyn Fn(&Pattern) -> bool) -> Vec<[bool; 2]> {
    let length = words.len();
    let mut read = vec![[false; 2]; length + 1];
    read[0][0] = true;
    for start in 0..length {
        let [without, with] = read[start];
        if !without && !with {
            continue;
        }
        for end in TABLE.polite_ends(words, start) {
            read[end][0] |= without;
            read[end][1] |= with;
        }
        for (pattern, end) in TABLE.find(words, start) {
            read[end][1] |= fits(pattern);
        }
    }
    read
}
