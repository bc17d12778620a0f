//! Words in a recorded call: questions for card data, card numbers, and objections to the recording. In the languages of the built-in
//! announcements.

/// Parts of questions for the data of a payment card, in lower case. PCI DSS forbids to store card numbers and security codes that were
/// spoken (requirement 3.3).
const CARD_DATA: &[&str] = &[
    // English
    "card number",
    "card details",
    "credit card",
    "debit card",
    "security code",
    "expiry date",
    "expiration date",
    "cvv",
    "cvc",
    // German
    "kartennummer",
    "kreditkarte",
    "kartendaten",
    "prüfnummer",
    "prüfziffer",
    "sicherheitscode",
    "ablaufdatum",
    // French
    "numéro de carte",
    "numéro de votre carte",
    "carte bancaire",
    "carte de crédit",
    "code de sécurité",
    "cryptogramme",
    "date d'expiration",
    // Spanish
    "número de tarjeta",
    "número de su tarjeta",
    "tarjeta de crédito",
    "tarjeta de débito",
    "código de seguridad",
    "fecha de caducidad",
    "fecha de vencimiento",
];

/// Parts of objections to a recording, in lower case.
const OBJECTIONS: &[&str] = &[
    // English
    "stop the recording",
    "stop recording",
    "don't record",
    "dont record",
    "do not record",
    "not want to be recorded",
    "don't want to be recorded",
    "not be recorded",
    "don't consent to the recording",
    "do not consent to the recording",
    "not agree to the recording",
    "turn off the recording",
    // German
    "aufnahme stoppen",
    "aufnahme beenden",
    "aufzeichnung stoppen",
    "aufzeichnung beenden",
    "nicht aufnehmen",
    "nicht aufzeichnen",
    "nicht aufgenommen werden",
    "nicht aufgezeichnet werden",
    "keine aufnahme",
    "keine aufzeichnung",
    "mit der aufnahme nicht einverstanden",
    "mit der aufzeichnung nicht einverstanden",
    // French
    "arrêtez l'enregistrement",
    "arrêter l'enregistrement",
    "n'enregistrez pas",
    "ne m'enregistrez pas",
    "pas être enregistré",
    "pas d'enregistrement",
    "refuse l'enregistrement",
    // Spanish
    "detenga la grabación",
    "detener la grabación",
    "pare la grabación",
    "no grabe",
    "no me grabe",
    "no quiero que me graben",
    "no quiero que se grabe",
    "no acepto la grabación",
    "no quiero ser grabad",
];

/// Digits of payment cards (ISO/IEC 7812).
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// First digits of payment cards: banks and travel (ISO/IEC 7812-1, major industry identifiers).
const CARD_ISSUERS: std::ops::RangeInclusive<u32> = 2..=6;

/// Returns whether the text asks for, or speaks about, the data of a payment card.
pub fn mentions_card_data(text: &str) -> bool {
    contains(text, CARD_DATA)
}

/// Returns whether the text objects to the recording of the call.
pub fn objects_to_recording(text: &str) -> bool {
    contains(text, OBJECTIONS)
}

/// Returns whether digits in the text, with spaces and dashes between them or not, are the number of a payment card.
pub fn has_card_number(text: &str) -> bool {
    let mut digits = Vec::new();
    for c in text.chars().chain(std::iter::once('.')) {
        match c.to_digit(10) {
            Some(digit) => digits.push(digit),
            None if matches!(c, ' ' | '-' | ',' | '\u{a0}') => {}
            None => {
                if is_card_number(&digits) {
                    return true;
                }
                digits.clear();
            }
        }
    }
    false
}

/// Any part of a run of digits may be the number: a date or a security code can follow it.
fn is_card_number(digits: &[u32]) -> bool {
    let is_number =
        |part: &[u32]| part.first().is_some_and(|first| CARD_ISSUERS.contains(first)) && has_luhn_checksum(part);
    CARD_DIGITS.clone().any(|length| digits.windows(length).any(is_number))
}

/// ISO/IEC 7812-1, annex B.
fn has_luhn_checksum(digits: &[u32]) -> bool {
    let doubled = |(place, digit): (usize, &u32)| match place % 2 {
        0 => *digit,
        _ => digit * 2 / 10 + digit * 2 % 10,
    };
    let sum: u32 = digits.iter().rev().enumerate().map(doubled).sum();
    sum.is_multiple_of(10)
}

fn contains(text: &str, parts: &[&str]) -> bool {
    let text = text.to_lowercase().replace('\u{2019}', "'");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    parts.iter().any(|part| text.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_questions_for_card_data() {
        for text in [
            "Please tell me your card  number.",
            "And the CVV on the back?",
            "Wie lautet Ihre Kartennummer?",
            "Quel est le numéro de votre carte ?",
            "¿Cuál es el código de seguridad?",
        ] {
            assert!(mentions_card_data(text), "{text}");
        }
        for text in [
            "What is your order number?",
            "Your cardigan has arrived.",
            "Danke, bis morgen.",
        ] {
            assert!(!mentions_card_data(text), "{text}");
        }
    }

    #[test]
    fn finds_card_numbers_in_speech_and_keys() {
        for text in [
            "4111 1111 1111 1111",
            "it is 5500-0000-0000-0004, thanks",
            "4111111111111111 12 27 123",
            "340000000000009",
        ] {
            assert!(has_card_number(text), "{text}");
        }
        for text in [
            "4111 1111 1111 1112",
            "+1 415 555 0123",
            "0000 0000 0000 0000",
            "on 12.12.2026 at 10:30",
            "",
        ] {
            assert!(!has_card_number(text), "{text}");
        }
    }

    #[test]
    fn finds_objections_to_the_recording() {
        for text in [
            "Stop the recording.",
            "I don\u{2019}t want to be recorded",
            "Bitte nicht aufnehmen!",
            "Non, arrêtez l'enregistrement.",
            "No quiero que me graben",
        ] {
            assert!(objects_to_recording(text), "{text}");
        }
        for text in [
            "Is this recorded?",
            "I have a record player.",
            "Ich möchte etwas aufnehmen.",
        ] {
            assert!(!objects_to_recording(text), "{text}");
        }
    }
}
