//! Separates words from sounds without words.

pub(crate) use butt_dial_language::is_acknowledgement;

/// Sounds that mean yes or no.
const ANSWERS: &[&str] = &["uhhuh", "mhm", "mmhm", "mmhmm", "mhmm", "uhuh", "nuhuh"];

/// Returns false for punctuation, blanks, invisible characters and sounds.
pub(crate) fn has_words(text: &str, language: &str) -> bool {
    butt_dial_language::has_words_in(text, language)
}

/// Returns whether the utterance is a sound that answers a question.
pub(crate) fn is_sound_of_answer(text: &str) -> bool {
    let letters: String = text
        .chars()
        .filter(|c| c.is_alphabetic())
        .flat_map(char::to_lowercase)
        .collect();
    ANSWERS.contains(&letters.as_str())
}
