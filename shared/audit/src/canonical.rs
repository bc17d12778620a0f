//! Canonical JSON (RFC 8785): one text for equal values, whatever database stored them. Members are sorted by UTF-16 code units,
//! there is no white space, and numbers are written as JavaScript writes them.

use serde_json::{Map, Number, Value};

/// The largest integer that a double holds exactly.
const MAX_SAFE: f64 = 9_007_199_254_740_992.0;

/// Writes the value in its canonical form.
pub fn text(value: &Value) -> String {
    let mut text = String::with_capacity(256);
    write(value, &mut text);
    text
}

/// Writes an object of strings and whole numbers in its canonical form. The names are ASCII and in order; absent members are left out.
/// Without a `Value` in between: the sealer writes one for every send.
pub(crate) fn object<const N: usize>(members: [(&str, Member<'_>); N]) -> String {
    debug_assert!(members.is_sorted_by_key(|(name, _)| *name));
    let mut text = String::with_capacity(512);
    let mut separator = '{';
    for (name, member) in members {
        if matches!(member, Member::Text(None)) {
            continue;
        }
        text.push(separator);
        separator = ',';
        write_string(name, &mut text);
        text.push(':');
        match member {
            Member::Text(value) => write_string(value.unwrap_or_default(), &mut text),
            Member::Number(value) => text.push_str(&value.to_string()),
        }
    }
    text.push('}');
    text
}

/// The value of a member of `object`.
#[derive(Clone, Copy)]
pub(crate) enum Member<'a> {
    Text(Option<&'a str>),
    Number(u32),
}

impl<'a> From<&'a str> for Member<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Some(text))
    }
}

impl<'a> From<&'a Option<String>> for Member<'a> {
    fn from(text: &'a Option<String>) -> Self {
        Self::Text(text.as_deref())
    }
}

fn write(value: &Value, text: &mut String) {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(true) => text.push_str("true"),
        Value::Bool(false) => text.push_str("false"),
        Value::Number(number) => write_number(number, text),
        Value::String(string) => write_string(string, text),
        Value::Array(items) => {
            text.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(members) => write_object(members, text),
    }
}

fn write_object(members: &Map<String, Value>, text: &mut String) {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    // UTF-8 and UTF-16 sort alike up to U+FFFF only.
    sorted.sort_by(|(a, _), (b, _)| match a.is_ascii() && b.is_ascii() {
        true => a.cmp(b),
        false => a.encode_utf16().cmp(b.encode_utf16()),
    });
    text.push('{');
    for (n, (name, value)) in sorted.into_iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        write_string(name, text);
        text.push(':');
        write(value, text);
    }
    text.push('}');
}

pub(crate) fn write_string(string: &str, text: &mut String) {
    use std::fmt::Write as _;
    text.push('"');
    if string.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        text.push_str(string);
        text.push('"');
        return;
    }
    for character in string.chars() {
        match character {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\u{8}' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\u{c}' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            control if control < ' ' => {
                // Writing to a string never fails.
                let _ = write!(text, "\\u{:04x}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
}

fn write_number(number: &Number, text: &mut String) {
    use std::fmt::Write as _;
    let whole = number.as_i64().map(i128::from).or(number.as_u64().map(i128::from));
    if let Some(whole) = whole {
        let _ = write!(text, "{whole}");
        return;
    }
    let value = number.as_f64().unwrap_or_default();
    let size = value.abs();
    let _ = if value.fract() == 0.0 && size <= MAX_SAFE {
        // Also minus zero.
        write!(text, "{}", if value == 0.0 { 0.0 } else { value })
    } else if (1e-6..1e21).contains(&size) {
        write!(text, "{value}")
    } else {
        let exponent = format!("{value:e}");
        match exponent.contains("e-") {
            true => write!(text, "{exponent}"),
            false => write!(text, "{}", exponent.replace('e', "e+")),
        }
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sorts_members_and_leaves_no_white_space() {
        let value = json!({ "b": [1, true, null], "a": { "z": "x", "y": {} }, "": false });
        assert_eq!(text(&value), r#"{"":false,"a":{"y":{},"z":"x"},"b":[1,true,null]}"#);
    }

    #[test]
    fn sorts_by_utf16_as_the_rfc_shows() {
        // The example of RFC 8785, 3.2.3.
        let value = json!({ "\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7 });
        let sorted = text(&value);
        let expected = "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}";
        assert_eq!(sorted, expected);
    }

    #[test]
    fn object_equals_the_form_of_the_same_value() {
        let written = object([
            ("a", Member::from("x \"y\" \n é")),
            ("b", Member::Text(None)),
            ("c", Member::Number(7)),
        ]);
        assert_eq!(written, text(&json!({ "c": 7, "a": "x \"y\" \n é" })));
    }

    #[test]
    fn escapes_only_what_json_must() {
        assert_eq!(
            text(&json!("\u{8}\t\n\u{c}\r\"\\/\u{1f}\u{7f}é€😀")),
            "\"\\b\\t\\n\\f\\r\\\"\\\\/\\u001f\u{7f}é€😀\""
        );
    }

    #[test]
    fn writes_numbers_as_javascript_does() {
        for (value, expected) in [
            (json!(0), "0"),
            (json!(-0.0), "0"),
            (json!(5.0), "5"),
            (json!(0.5), "0.5"),
            (json!(1e-6), "0.000001"),
            (json!(1e-7), "1e-7"),
            (json!(1e20), "100000000000000000000"),
            (json!(1e21), "1e+21"),
            (json!(-1.5e300), "-1.5e+300"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(i64::MIN), "-9223372036854775808"),
            (json!(333_333_333.333_333_3), "333333333.3333333"),
        ] {
            assert_eq!(text(&value), expected);
        }
    }
}
