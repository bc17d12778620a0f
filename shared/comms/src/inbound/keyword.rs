//! Words that are no message but a wish: STOP, START, HELP. Only when they are all that was written ("stop by at five" is a
//! message). 47 CFR 64.1200(a)(10) names the English words for STOP; the others are the same in Spanish, French and
//! Portuguese.

use butt_dial_domain::{
    Channel,
    inbound::{InboundMessage, Keyword},
};

const STOP: &[&str] = &[
    "stop",
    "stopall",
    "stop all",
    "unsubscribe",
    "cancel",
    "end",
    "quit",
    "revoke",
    "optout",
    "opt out",
    "remove",
    "arret",
    "arrêt",
    "alto",
    "parar",
    "baja",
    "no mas",
    "no más",
];
/// Not YES: it answers too many other questions.
const START: &[&str] = &["start", "unstop"];
const HELP: &[&str] = &["help", "info"];

/// Longer than any of the words with some punctuation around it.
const LONGEST: usize = 48;

/// The wish that a message is.
pub fn of(message: &InboundMessage) -> Option<Keyword> {
    message
        .answered_keyword
        .or_else(|| message.body.as_deref().and_then(find))
        // A mail with the subject "Help" is a mail.
        .filter(|_| message.channel != Channel::Email)
}

pub fn find(text: &str) -> Option<Keyword> {
    let text = text.trim();
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let word = normalized(text);
    [(STOP, Keyword::Stop), (START, Keyword::Start), (HELP, Keyword::Help)]
        .into_iter()
        .find_map(|(words, keyword)| words.contains(&word.as_str()).then_some(keyword))
}

/// Lower-case letters with one blank between words; punctuation and pictures count for nothing.
fn normalized(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for c in text.chars() {
        // Full-width letters are what some keyboards make of these words.
        let c = match c {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
            c => c,
        };
        if c.is_alphanumeric() {
            words.extend(c.to_lowercase());
        } else if (c.is_whitespace() || c == '-') && !words.ends_with(' ') && !words.is_empty() {
            words.push(' ');
        }
    }
    words.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_alone_are_wishes() {
        for text in [
            "STOP",
            " stop ",
            "Stop.",
            "STOP!!",
            "\"stop\"",
            "Opt-out",
            "STOP ALL",
            "ＳＴＯＰ",
            "arrêt",
            "Stop 🛑",
            "QUIT",
        ] {
            assert_eq!(find(text), Some(Keyword::Stop), "{text}");
        }
        assert_eq!(find("Start"), Some(Keyword::Start));
        assert_eq!(find("unstop"), Some(Keyword::Start));
        assert_eq!(find("HELP?"), Some(Keyword::Help));
        assert_eq!(find("info"), Some(Keyword::Help));
    }

    #[test]
    fn words_in_a_sentence_are_messages() {
        for text in [
            "",
            "🛑",
            "stop by at five",
            "cancel my appointment",
            "I can't stop",
            "yes",
            "the end",
            "end of story",
            "helpful",
            "don't stop",
            "S T O P",
            "please start",
        ] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
