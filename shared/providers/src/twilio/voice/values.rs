//! Values that scripts and frames have in common.

/// Splits a voice into provider and name: ConversationRelay takes them separately, `<Say>` as one. A name without prefix
/// belongs to Twilio's default provider.
pub fn relay_voice(voice: &str) -> (Option<&'static str>, &str) {
    let known = [
        ("Polly.", "Amazon"),
        ("Google.", "Google"),
        ("ElevenLabs.", "ElevenLabs"),
    ];
    known
        .into_iter()
        .find_map(|(prefix, provider)| Some((Some(provider), voice.strip_prefix(prefix)?)))
        .unwrap_or((None, voice))
}

/// Removes invalid keys, because Twilio discards all digits for one invalid key. Returns half a second of silence if
/// none is left, because a frame without digits is an error.
pub fn valid_digits(digits: &str) -> String {
    let valid_digits: String = digits
        .chars()
        .filter(|c| matches!(c, '0'..='9' | 'w' | '#' | '*'))
        .collect();
    if valid_digits.is_empty() {
        "w".to_owned()
    } else {
        valid_digits
    }
}
