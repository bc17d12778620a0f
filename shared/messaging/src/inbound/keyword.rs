//! Consent keywords: STOP, START and HELP, if the message consists of nothing else ("stop by at five" is a message).
//! 47 CFR 64.1200(a)(10) names the English words for STOP; the others are their Spanish, French and Portuguese forms.

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
/// YES is not included: it answers too many other questions.
const START: &[&str] = &["start", "unstop"];
const HELP: &[&str] = &["help", "info"];

/// Bytes: longer than any keyword with punctuation.
const MAX_LENGTH: usize = 48;

/// Detects the keyword of a message.
pub(super) fn detect(message: &InboundMessage) -> Option<Keyword> {
    message
        .answered_keyword
        .or_else(|| message.body.as_deref().and_then(find))
        // E-mail has no keywords.
        .filter(|_| message.channel != Channel::Email)
}

fn find(text: &str) -> Option<Keyword> {
    let text = text.trim();
    if text.is_empty() || text.len() > MAX_LENGTH {
        return None;
    }
    let word = normalize(text);
    [(STOP, Keyword::Stop), (START, Keyword::Start), (HELP, Keyword::Help)]
        .into_iter()
        .find_map(|(words, keyword)| words.contains(&word.as_str()).then_some(keyword))
}

/// Normalizes to lower-case words with one space between them. Punctuation and emoji are ignored.
fn normalize(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    for c in text.chars() {
        // Some keyboards produce full-width letters.
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
    fn detects_keyword_alone() {
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
    fn ignores_keyword_in_sentence() {
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
