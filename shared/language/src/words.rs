//! Decides what a caller's sounds are: words, noises, or one-word acknowledgements that do not ask for a turn.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

use crate::{
    languages::{self, Language},
    speech::is_invisible,
};

/// Sounds that are no word in any language. "Um" is not included: it is the Portuguese "one".
const COMMON_SOUNDS: &[&str] = &[
    "mm",
    "mhm",
    "mmhm",
    "hm",
    "hmph",
    "uh",
    "uhm",
    "erm",
    "huh",
    "ugh",
    "ah",
    "oh",
    "eh",
    "ehm",
    "äh",
    "ähm",
    "öh",
    "öhm",
    "øh",
    "øhm",
    "euh",
    "heu",
    "hum",
    "pff",
    "psst",
    "shh",
    "tsk",
    "э",
    "эм",
    "хм",
    "мм",
    "えっと",
    "えーと",
    "ええと",
    "あのー",
    "呃",
    "อืม",
    "เอ่อ",
    "امم",
    "همم",
    "אממ",
    "हम्म",
    "উম",
    "음",
];

/// Whether the text contains words, in any language. Punctuation, invisible characters, emoji and sounds ("mm", "äh") are none.
pub fn has_words(text: &str) -> bool {
    words(text).iter().any(|word| !is_in(COMMON_SOUNDS, word))
}

/// As [`has_words`], for text in `language`, in which more sounds are no words: "um" in English.
pub fn has_words_in(text: &str, language: &str) -> bool {
    let own = languages::find(language).map_or(&[][..], |language| language.sounds);
    words(text)
        .iter()
        .any(|word| !is_in(COMMON_SOUNDS, word) && !is_in(own, word))
}

/// Whether the text only shows that its speaker listens: "uh-huh", "yeah, right", "genau". Reads the words of `language` (a
/// tag such as `de-AT`) and of English, which all languages borrow.
pub fn is_acknowledgement(text: &str, language: &str) -> bool {
    const MAX_WORDS: usize = 6;
    let words = words(text);
    if words.is_empty() || words.len() > MAX_WORDS {
        return false;
    }
    let known: Vec<&Language> = [languages::find(language), languages::find("en")]
        .into_iter()
        .flatten()
        .collect();
    let is_sound =
        |word: &String| is_in(COMMON_SOUNDS, word) || known.iter().any(|language| is_in(language.sounds, word));
    let (mut at, mut acknowledged) = (0, false);
    while at < words.len() {
        let longest = (1..=words.len() - at).rev().find(|length| {
            let phrase = words[at..at + length].join(" ");
            let joined = words[at..at + length].concat();
            known.iter().any(|language| {
                language
                    .acknowledgements
                    .iter()
                    .any(|known| *known == phrase || *known == joined)
            })
        });
        match longest {
            Some(length) => {
                at += length;
                acknowledged = true;
            }
            None if is_sound(&words[at]) => at += 1,
            None => return false,
        }
    }
    acknowledged || words.iter().all(is_sound)
}

/// Splits into lower-case words of letters, marks and digits.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in text.nfkc().flat_map(char::to_lowercase) {
        let is_apostrophe = matches!(c, '\'' | '’' | '\u{2bc}');
        let is_joiner = matches!(c, '\u{200c}' | '\u{200d}');
        if is_joiner || is_invisible(c) {
            continue;
        }
        let is_part = is_apostrophe
            || c == 'ー'
            || matches!(
                c.general_category_group(),
                GeneralCategoryGroup::Letter | GeneralCategoryGroup::Mark | GeneralCategoryGroup::Number
            );
        match words.last_mut() {
            Some(word) if is_part => word.push(if is_apostrophe { '\'' } else { c }),
            Some(word) if !word.is_empty() => words.push(String::new()),
            _ => {}
        }
    }
    words.retain(|word| word.chars().any(char::is_alphanumeric));
    words
}

/// Whether the word is one of the sounds, or one with letters repeated ("hmmm", "uhhh").
fn is_in(sounds: &[&str], word: &str) -> bool {
    let short = without_repetition(word);
    let is_longer = word.chars().count() >= 3;
    sounds
        .iter()
        .any(|sound| *sound == word || (is_longer && without_repetition(sound) == short))
}

fn without_repetition(word: &str) -> String {
    let mut short = String::with_capacity(word.len());
    for c in word.chars() {
        if !short.ends_with(c) {
            short.push(c);
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_words() {
        for text in [
            "hello",
            "Ja.",
            "5",
            "はい",
            "ok",
            "बंद",
            "a",
            "no",
            "¿Sí?",
            "I",
            "уже",
            "هلا",
            "x2",
        ] {
            assert!(has_words(text), "{text}");
        }
        for text in [
            "",
            " ",
            ".",
            "…",
            "?!",
            "-",
            "\u{200b}",
            "\u{2060}\u{feff}",
            "😀",
            "👍🏽",
            "mm",
            "Mmm.",
            "uh",
            "Uhhh...",
            "hm",
            "hmm",
            "äh",
            "ähm",
            "euh",
            "えっと",
            "あのー",
            "uhm, uh",
            "эм",
            "[ ]",
            "«»",
            "—",
            "\u{202e}",
        ] {
            assert!(!has_words(text), "{text:?}");
        }
    }

    #[test]
    fn sounds_depend_on_the_language() {
        assert!(has_words("um") && !has_words_in("Um, uh...", "en-GB") && has_words_in("um", "pt"));
        assert!(!has_words_in("pues", "es") && has_words_in("no", "fi") && has_words_in("hello", "xx"));
    }

    #[test]
    fn finds_acknowledgements() {
        for (text, language) in [
            ("uh-huh", "en"),
            ("Uh huh.", "en-US"),
            ("yeah", "en"),
            ("Okay, right.", "en"),
            ("mhm", "de"),
            ("mm-hmm", "en"),
            ("I see", "en"),
            ("got it", "en"),
            ("ja", "de-DE"),
            ("Ja, genau.", "de"),
            ("sí", "es"),
            ("vale vale", "es-MX"),
            ("oui", "fr"),
            ("d'accord", "fr-CA"),
            ("D’accord", "fr"),
            ("はい", "ja"),
            ("うん、うん", "ja"),
            ("네", "ko"),
            ("嗯", "zh"),
            ("好的", "zh-CN"),
            ("да", "ru"),
            ("tak", "pl"),
            ("certo", "it"),
            ("हाँ", "hi"),
            ("evet", "tr"),
            ("نعم", "ar"),
            ("ok", "xx"),
        ] {
            assert!(is_acknowledgement(text, language), "{text} {language}");
        }
    }

    #[test]
    fn rejects_answers_and_questions_as_acknowledgements() {
        for (text, language) in [
            ("", "en"),
            ("no", "en"),
            ("wait", "en"),
            ("stop", "en"),
            ("yes but I have a question", "en"),
            ("right now", "en"),
            ("is that okay", "en"),
            ("nein", "de"),
            ("ja aber", "de"),
            ("no vale", "es"),
            ("hello?", "en"),
            ("5", "en"),
            ("genau", "es"),
        ] {
            assert!(!is_acknowledgement(text, language), "{text} {language}");
        }
    }
}
