//! Lenient reading of the JSON in webhooks. A value with an unexpected form must not cost the entries beside it: half of a
//! surrogate pair becomes the replacement character, and a field of another type is absent.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Number, Value};
use sha2::{Digest, Sha256};

/// Parses a body. `None`: it is no JSON.
pub fn parse(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body)
        .ok()
        .or_else(|| serde_json::from_str(&repair(&String::from_utf8_lossy(body))).ok())
}

/// Replaces escapes of single surrogates, which are no characters (RFC 8259, 8.2): carriers cut names between the two.
fn repair(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u") {
        return Cow::Borrowed(text);
    }
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        repaired.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match escaped_unit(rest) {
            Some(0xd800..=0xdbff) if matches!(rest.get(6..).and_then(escaped_unit), Some(0xdc00..=0xdfff)) => 12,
            Some(0xd800..=0xdfff) => {
                repaired.push('\u{fffd}');
                rest = &rest[6..];
                continue;
            }
            Some(_) => 6,
            None => rest.chars().take(2).map(char::len_utf8).sum(),
        };
        repaired.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    repaired.push_str(rest);
    Cow::Owned(repaired)
}

/// Returns the code unit of an escape such as `\u00e9` at the beginning of the text.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

/// Takes the list in a field. A missing field and null are an empty list; `None`: it is something else.
pub fn take_list(value: &mut Value, field: &str) -> Option<Vec<Value>> {
    match value.get_mut(field).map(Value::take) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(items)) => Some(items),
        Some(_) => None,
    }
}

/// Deserializes a field, for `deserialize_with`. Null and values of another type are the default.
pub fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(deserializer: D) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    Ok(T::deserialize(value).unwrap_or_default())
}

/// Deserializes a list, for `deserialize_with`. Items of another type are left out.
pub fn lenient_list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let Value::Array(items) = Value::deserialize(deserializer)? else {
        return Ok(Vec::new());
    };
    Ok(items.into_iter().filter_map(|item| T::deserialize(item).ok()).collect())
}

/// Deserializes a text or a number as text, for `deserialize_with`. Empty and other values are `None`.
pub fn lenient_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(text(&Value::deserialize(deserializer)?))
}

/// Returns a text or a number as text, unless it is empty.
pub fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Deserializes a number or a number in a string, for `deserialize_with`.
pub fn lenient_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Number>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => Some(number),
        Value::String(text) => number(&text),
        _ => None,
    })
}

/// Parses a number; a whole one stays whole.
pub fn number(text: &str) -> Option<Number> {
    let text = text.trim();
    let whole = text.parse::<i64>().ok().map(Number::from);
    whole.or_else(|| Number::from_f64(text.parse().ok()?))
}

/// Derives an id for an entry without one. A repetition of the entry has the same id.
pub fn derived_id(entry: &Value) -> String {
    format!("derived-{}", hex::encode(&Sha256::digest(entry.to_string())[..16]))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn replaces_single_surrogates_only() {
        for (body, name) in [
            (r#"{"name":"Ann \ud83d"}"#, "Ann \u{fffd}"),
            (r#"{"name":"\ude00 Ann"}"#, "\u{fffd} Ann"),
            (r#"{"name":"\ud83d\u0041"}"#, "\u{fffd}A"),
            (r#"{"name":"\ud83d\ud83d\ude00"}"#, "\u{fffd}😀"),
            (
                r#"{"name":"\ud83d\ude00 \u00e9 \\ud83d \" \ud83d"}"#,
                "😀 é \\ud83d \" \u{fffd}",
            ),
            (r#"{"name":"é\ud83d"}"#, "é\u{fffd}"),
        ] {
            assert_eq!(parse(body.as_bytes()), Some(json!({ "name": name })), "{body}");
        }
        assert_eq!(parse(b"{\"name\":\"\xff\"}"), Some(json!({ "name": "\u{fffd}" })));
        for wrong in ["", "{", "[]x", r#"{"a":"\u12"}"#, r#"{"a":"\"#] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn takes_null_for_an_empty_list() {
        let mut value = json!({ "a": [1], "b": null, "c": 1 });
        let lengths = ["a", "b", "c", "d"].map(|field| take_list(&mut value, field).map(|items| items.len()));
        assert_eq!(lengths, [Some(1), Some(0), None, Some(0)]);
    }
}
