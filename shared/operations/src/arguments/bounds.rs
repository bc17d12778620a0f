//! Checks the bounds that a schema declares, so that the declared and the enforced ones are the same.

use butt_dial_domain::{Code, Failure};
use serde_json::{Map, Value};

use super::{describe, invalid};

/// The member of an argument's schema with the code that its bounds are refused with. The default is `INVALID_ARGUMENT`; what is sent
/// to a person is `INVALID_CONTENT`, as beyond the bounds of its channel.
pub const ERROR: &str = "x-error";

/// Fails for a value beyond a bound of its schema. Values of another type than the declared one are left to the parser.
pub fn check_bounds(values: &Map<String, Value>, schema: &Map<String, Value>) -> Result<(), Failure> {
    check_fields(values, schema, "")
}

fn check_fields(values: &Map<String, Value>, schema: &Map<String, Value>, path: &str) -> Result<(), Failure> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(());
    };
    for (name, value) in values {
        let Some(schema) = properties.get(name) else { continue };
        let check = |path: &str| check_value(value, schema, path, code_of(schema, Code::InvalidArgument));
        match path {
            "" => check(name)?,
            path => check(&format!("{path}.{name}"))?,
        }
    }
    Ok(())
}

/// Returns the code of a refusal. Items have that of their list.
fn code_of(schema: &Value, default: Code) -> Code {
    match schema[ERROR] == Code::InvalidContent.as_str() {
        true => Code::InvalidContent,
        false => default,
    }
}

fn check_value(value: &Value, schema: &Value, path: &str, code: Code) -> Result<(), Failure> {
    for schema in super::normalize::alternatives(schema).filter_map(Value::as_object) {
        if !is_within(value, schema) {
            return Err(beyond(path, schema, code));
        }
        match value {
            Value::Object(fields) => check_fields(fields, schema, path)?,
            Value::Array(items) => {
                if let Some(schema) = schema.get("items") {
                    for (index, item) in items.iter().enumerate() {
                        check_value(item, schema, &format!("{path}[{index}]"), code_of(schema, code))?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn is_within(value: &Value, schema: &Map<String, Value>) -> bool {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let contains = |size: f64, least: &str, most: &str| {
        bound(least).is_none_or(|least| size >= least) && bound(most).is_none_or(|most| size <= most)
    };
    match value {
        Value::Number(number) => number
            .as_f64()
            .is_none_or(|number| contains(number, "minimum", "maximum")),
        // A text without a bound is not counted: it can be long.
        Value::String(text) if schema.contains_key("maxLength") || schema.contains_key("minLength") => {
            contains(size(text.chars().count()), "minLength", "maxLength")
        }
        Value::Array(items) => contains(size(items.len()), "minItems", "maxItems"),
        _ => true,
    }
}

#[expect(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
fn size(count: usize) -> f64 {
    count as f64
}

fn beyond(path: &str, schema: &Map<String, Value>, code: Code) -> Failure {
    let expected = match schema.get("maxLength") {
        Some(most) if schema.get("minLength").is_none() => format!("text of at most {most} characters"),
        _ => describe(&Value::Object(schema.clone())).unwrap_or_default(),
    };
    let mut failure = invalid(format!("{path} must be {expected}"), path);
    failure.code = code;
    for key in ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"] {
        if let Some(bound) = schema.get(key) {
            failure = failure.detail(key, bound.clone());
        }
    }
    failure
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(values: Value) -> Result<(), String> {
        let schema = json!({ "properties": {
            "limit": { "type": ["integer", "null"], "minimum": 1, "maximum": 200 },
            "lat": { "type": "number", "minimum": -90, "maximum": 90 },
            "label": { "type": "string", "maxLength": 3 },
            "body": { "type": ["string", "null"], "maxLength": 3, "x-error": "INVALID_CONTENT" },
            "media": { "type": "array", "maxItems": 2, "items": { "type": "string", "maxLength": 3 } },
            "people": { "type": "array", "minItems": 1, "maxItems": 2, "items": {
                "type": "object", "properties": { "name": { "type": "string", "maxLength": 3 } },
            } },
            "cursor": { "anyOf": [{ "type": "string", "maxLength": 3 }, { "type": "integer", "minimum": 0 }] },
        } });
        check_bounds(values.as_object().unwrap(), schema.as_object().unwrap())
            .map_err(|failure| failure.message.into_owned())
    }

    #[test]
    fn accepts_values_up_to_their_bounds() {
        for values in [
            json!({ "limit": 1, "lat": -90, "label": "äöü", "media": ["abc", ""], "people": [{ "name": "Ann" }] }),
            json!({ "limit": 200, "lat": 90.0, "label": "", "media": [], "cursor": "abc" }),
            // Not of the declared type: the parser says what is expected.
            json!({ "limit": "many", "label": 12345, "media": "abcdef", "unknown": "abcdef", "cursor": 12345 }),
        ] {
            assert_eq!(check(values.clone()), Ok(()), "{values}");
        }
    }

    #[test]
    fn code_of_a_refusal_follows_from_the_schema() {
        let code = |schema: Value| {
            let schema = json!({ "properties": { "body": schema } });
            let values = json!({ "body": "abcd" });
            let refused = check_bounds(values.as_object().unwrap(), schema.as_object().unwrap()).unwrap_err();
            assert_eq!(
                (&refused.details["fields"], &refused.details["maxLength"]),
                (&json!(["body"]), &json!(3))
            );
            refused.code
        };
        assert_eq!(code(json!({ "type": "string", "maxLength": 3 })), Code::InvalidArgument);
        let content = json!({ "type": "string", "maxLength": 3, "x-error": "INVALID_CONTENT" });
        assert_eq!(code(content), Code::InvalidContent);
        let list = json!({ "properties": { "media": {
            "type": "array", "x-error": "INVALID_CONTENT", "items": { "type": "string", "maxLength": 3 },
        } } });
        let values = json!({ "media": ["abcd"] });
        let refused = check_bounds(values.as_object().unwrap(), list.as_object().unwrap()).unwrap_err();
        assert_eq!(refused.code, Code::InvalidContent);
    }

    #[test]
    fn refuses_values_beyond_a_bound_with_its_name() {
        for (values, message) in [
            (json!({ "limit": 0 }), "limit must be a whole number of 1 to 200"),
            (json!({ "limit": 201 }), "limit must be a whole number of 1 to 200"),
            (json!({ "limit": 1e300 }), "limit must be a whole number of 1 to 200"),
            (json!({ "lat": 90.1 }), "lat must be a number of -90 to 90"),
            (json!({ "label": "abcd" }), "label must be text of at most 3 characters"),
            (json!({ "media": ["a", "b", "c"] }), "media must be a list of at most 2"),
            (
                json!({ "media": ["abcd"] }),
                "media[0] must be text of at most 3 characters",
            ),
            (json!({ "people": [] }), "people must be a list of 1 to 2"),
            (
                json!({ "people": [{ "name": "Anna" }] }),
                "people[0].name must be text of at most 3 characters",
            ),
            (
                json!({ "cursor": "abcd" }),
                "cursor must be text of at most 3 characters",
            ),
            (json!({ "cursor": -1 }), "cursor must be a whole number of 0 or more"),
        ] {
            assert_eq!(check(values.clone()), Err(message.to_owned()), "{values}");
        }
    }
}
