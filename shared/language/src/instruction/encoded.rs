//! Decodes what a text has encoded, once, and checks the words of the result. Decoded text is never returned or stored.

use base64::{Engine, engine::general_purpose};
use percent_encoding::percent_decode_str;

use super::{Confidence, text::SPELLING};
use crate::phrases::word::Word;

/// In characters: shorter data has no sentence.
const MIN_DATA: usize = 16;
/// In signs of one encoding: fewer are single characters.
const MIN_SIGNS: usize = 6;
/// As `MIN_SIGNS`: spaces between words are few.
const MIN_PERCENT: usize = 2;
/// In words that are known once they are decoded: one can be chance.
const MIN_KNOWN: usize = 2;

/// Finds encoded words that instruct the agent, as `is_instruction` decides.
pub(super) fn find(
    text: &str,
    plain: &str,
    words: &[Word],
    is_instruction: impl Fn(&str) -> bool,
) -> Option<Confidence> {
    let data = decode_data(text);
    let escapes = decode_escapes(plain);
    let letters = decode_letters(plain, words);
    let decoded = [data, escapes, letters];
    decoded
        .into_iter()
        .flatten()
        .any(|decoded| is_instruction(&decoded))
        .then_some(Confidence::Certain)
}

/// Decodes base64 and hexadecimal data.
fn decode_data(text: &str) -> Option<String> {
    let is_data = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    let mut decoded = String::new();
    for data in text.split(|c| !is_data(c)).filter(|data| data.len() >= MIN_DATA) {
        let from_hex = hex::decode(data).ok();
        let standard = general_purpose::STANDARD_NO_PAD;
        let from_base64 = || {
            standard
                .decode(data)
                .or_else(|_| general_purpose::URL_SAFE_NO_PAD.decode(data))
                .ok()
        };
        let bytes = from_hex.or_else(from_base64);
        if let Some(readable) = bytes.and_then(|bytes| String::from_utf8(bytes).ok())
            && !readable.chars().any(|c| c.is_control() && !c.is_whitespace())
        {
            decoded.push_str(&readable);
            decoded.push('\n');
        }
    }
    (!decoded.is_empty()).then_some(decoded)
}

/// Decodes percent signs, entities of HTML and escapes of JSON.
fn decode_escapes(plain: &str) -> Option<String> {
    let count = |sign: &str| plain.matches(sign).count();
    if count("%") >= MIN_PERCENT {
        let decoded = percent_decode_str(plain).decode_utf8().ok();
        return decoded.filter(|decoded| decoded != plain).map(Into::into);
    }
    if count("&#") >= MIN_SIGNS {
        return Some(decode_codes(plain, "&#", |rest| {
            let (code, _) = rest.split_once(';')?;
            let number = match code.strip_prefix(['x', 'X']) {
                Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
                None => code.parse(),
            };
            Some((number.ok()?, code.len() + 1))
        }));
    }
    for (sign, length) in [("\\u", 4), ("\\x", 2)] {
        if count(sign) >= MIN_SIGNS {
            return Some(decode_codes(plain, sign, |rest| {
                Some((u32::from_str_radix(rest.get(..length)?, 16).ok()?, length))
            }));
        }
    }
    None
}

/// Replaces codes after a sign; `read` returns the code and its length.
fn decode_codes(plain: &str, sign: &str, read: impl Fn(&str) -> Option<(u32, usize)>) -> String {
    let mut decoded = String::with_capacity(plain.len());
    let mut rest = plain;
    while let Some(at) = rest.find(sign) {
        decoded.push_str(&rest[..at]);
        rest = &rest[at + sign.len()..];
        let code = read(&rest[..rest.floor_char_boundary(10)]);
        if let Some((c, length)) = code.and_then(|(code, length)| Some((char::from_u32(code)?, length))) {
            decoded.push(c);
            rest = &rest[length..];
        }
    }
    decoded + rest
}

/// Decodes letters in reverse order, or thirteen places later in the alphabet, if known words result.
fn decode_letters(plain: &str, words: &[Word]) -> Option<String> {
    let is_known = |decode: fn(&str) -> String| {
        let forms = words.iter().filter_map(|word| word.forms.last());
        let known = forms.filter(|form| form.len() >= 5 && SPELLING.is_telling(&decode(form)));
        known.take(MIN_KNOWN).count() == MIN_KNOWN
    };
    [reverse as fn(&str) -> String, rotate]
        .into_iter()
        .find(|decode| is_known(*decode))
        .map(|decode| decode(plain))
}

fn reverse(text: &str) -> String {
    text.chars().rev().collect()
}

fn rotate(text: &str) -> String {
    let turn = |c: char, first: u8| char::from((c as u8 - first + 13) % 26 + first);
    text.chars()
        .map(|c| match c {
            'a'..='z' => turn(c, b'a'),
            'A'..='Z' => turn(c, b'A'),
            c => c,
        })
        .collect()
}
