//! Parses the arguments of an operation. Errors name the field and what it must be, in words of JSON and never of Rust.

mod bounds;
mod brief;
mod lengths;
mod normalize;
mod schema;

use butt_dial_domain::{Code, Failure};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use bounds::{ERROR, check_bounds};
pub use brief::{brief, close, remove_brief};
pub use lengths::{declare_lengths, is_unbounded};
pub use normalize::{Normalized, is_same_name, normalize};
pub use schema::{accept_null, portable};

/// Parses normalized arguments. `schema` is the schema of `T`: its bounds are checked, and errors are explained with it.
pub fn read_args<T: DeserializeOwned>(args: Map<String, Value>, schema: &Map<String, Value>) -> Result<T, Failure> {
    check_bounds(&args, schema)?;
    serde_path_to_error::deserialize(Value::Object(args)).map_err(|error| {
        let path = error.path().to_string();
        explain(&path, &error.inner().to_string(), schema)
    })
}

fn explain(path: &str, text: &str, schema: &Map<String, Value>) -> Failure {
    if let Some(field) = quoted(text, "missing field `") {
        return Failure::new(Code::MissingFields, format!("{field} is required")).detail("fields", json!([field]));
    }
    let (field, message) = match (quoted(text, "duplicate field `"), quoted(text, "unknown field `")) {
        (Some(field), _) => (field, format!("{field} is present twice, under two names")),
        (_, Some(field)) => (path, format!("{path}: there is no field {field}")),
        _ => match find_schema(schema, path).and_then(describe) {
            Some(expected) => (path, format!("{path} must be {expected}")),
            None => (path, format!("{path} is not valid")),
        },
    };
    Failure::new(Code::InvalidArgument, message).detail("fields", json!([field]))
}

fn quoted<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.split('`').next()
}

/// Finds the schema of a path such as `media[0].url`.
fn find_schema<'a>(schema: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut steps = path.split(['.', '[']);
    let mut found = schema.get("properties")?.get(steps.next()?)?;
    for step in steps {
        found = match step.strip_suffix(']') {
            Some(_) => found.get("items")?,
            None => found.get("properties")?.get(step)?,
        };
    }
    Some(found)
}

/// Describes the values that a schema allows. Omits `null`, which means the same as an absent field.
fn describe(schema: &Value) -> Option<String> {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
        return Some(format!("one of {}", values.join(", ")));
    }
    let alternatives = ["anyOf", "oneOf"]
        .into_iter()
        .find_map(|key| schema.get(key)?.as_array());
    if let Some(alternatives) = alternatives {
        let described: Vec<String> = alternatives.iter().filter_map(describe).collect();
        return (!described.is_empty()).then(|| described.join(" or "));
    }
    if let Some(value) = schema.get("const").and_then(Value::as_str) {
        return Some(value.to_owned());
    }
    let types: Vec<&str> = match schema.get("type")? {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => return None,
    };
    let described: Vec<String> = types
        .into_iter()
        .filter_map(|name| {
            let (noun, least, most, unit) = match name {
                "string" if schema.get("format").is_some_and(|format| format == "date-time") => {
                    return Some("an RFC 3339 date and time, such as 2026-11-28T09:00:00Z".to_owned());
                }
                "string" if is_reference(schema) => return Some("text".to_owned()),
                "string" => ("text", "minLength", "maxLength", " characters"),
                "integer" => ("a whole number", "minimum", "maximum", ""),
                "number" => ("a number", "minimum", "maximum", ""),
                "boolean" => return Some("true or false".to_owned()),
                "array" => ("a list", "minItems", "maxItems", ""),
                "object" => return Some("an object".to_owned()),
                _ => return None,
            };
            Some(format!("{noun}{}", range(schema.get(least), schema.get(most), unit)))
        })
        .collect();
    (!described.is_empty()).then(|| described.join(" or "))
}

/// Returns whether the text is an id or a cursor: its length is no help.
fn is_reference(schema: &Value) -> bool {
    let most = schema.get("maxLength").and_then(Value::as_u64);
    most.is_some_and(|most| usize::try_from(most) == Ok(butt_dial_domain::bounds::REFERENCE))
}

/// Describes bounds, for a sentence.
fn range(least: Option<&Value>, most: Option<&Value>, unit: &str) -> String {
    let number = |bound: &Value| bound.as_f64().map(|number| number.to_string());
    match (least.and_then(number), most.and_then(number)) {
        (Some(least), Some(most)) => format!(" of {least} to {most}{unit}"),
        (Some(least), None) => format!(" of {least}{unit} or more"),
        (None, Some(most)) => format!(" of at most {most}{unit}"),
        (None, None) => String::new(),
    }
}

fn invalid(message: String, field: &str) -> Failure {
    Failure::new(Code::InvalidArgument, message).detail("fields", json!([field]))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use schemars::{JsonSchema, schema_for};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "camelCase")]
    #[expect(dead_code, reason = "only parsed")]
    struct Args {
        #[serde(alias = "recipient")]
        to: String,
        #[serde(default)]
        limit: Option<u32>,
        #[serde(default)]
        cost: Option<f64>,
        #[serde(default)]
        cursor: Option<TextOrNumber>,
        #[serde(default)]
        kind: Option<Kind>,
        #[serde(default)]
        at: Option<DateTime<Utc>>,
        #[serde(default)]
        media: Vec<String>,
        #[serde(default)]
        strict: Option<Strict>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(untagged)]
    #[expect(dead_code, reason = "only parsed")]
    enum TextOrNumber {
        Text(String),
        Number(i64),
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Sms,
        Email,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only parsed")]
    struct Strict {
        #[serde(default)]
        inner: bool,
    }

    fn error_of(args: Value) -> Value {
        let mut settings = schemars::generate::SchemaSettings::draft2020_12();
        settings.inline_subschemas = true;
        let schema = settings.into_generator().into_root_schema_for::<Args>();
        let args = args.as_object().unwrap().clone();
        read_args::<Args>(args, schema.as_object().unwrap())
            .unwrap_err()
            .envelope()
    }

    #[test]
    fn argument_errors_speak_of_json_and_not_of_rust() {
        let cases = [
            (json!({}), "MISSING_FIELDS", "to is required"),
            (json!({ "to": 1 }), "INVALID_ARGUMENT", "to must be text"),
            (
                json!({ "to": "a", "recipient": "b" }),
                "INVALID_ARGUMENT",
                "to is present twice, under two names",
            ),
            (
                json!({ "to": "a", "limit": -1 }),
                "INVALID_ARGUMENT",
                "limit must be a whole number of 0 or more",
            ),
            (
                json!({ "to": "a", "cost": "x" }),
                "INVALID_ARGUMENT",
                "cost must be a number",
            ),
            (
                json!({ "to": "a", "cursor": [] }),
                "INVALID_ARGUMENT",
                "cursor must be text or a whole number",
            ),
            (
                json!({ "to": "a", "kind": "fax" }),
                "INVALID_ARGUMENT",
                "kind must be one of sms, email",
            ),
            (
                json!({ "to": "a", "at": "tomorrow" }),
                "INVALID_ARGUMENT",
                "at must be an RFC 3339 date and time, such as 2026-11-28T09:00:00Z",
            ),
            (
                json!({ "to": "a", "media": [1] }),
                "INVALID_ARGUMENT",
                "media[0] must be text",
            ),
            (
                json!({ "to": "a", "strict": { "x": 1 } }),
                "INVALID_ARGUMENT",
                "strict.x: there is no field x",
            ),
        ];
        for (args, code, message) in cases {
            let envelope = error_of(args.clone());
            assert_eq!(
                (&envelope["code"], &envelope["error"]),
                (&json!(code), &json!(message)),
                "{args}"
            );
            assert!(envelope["fields"][0].is_string(), "{args}: {envelope}");
        }
    }

    #[test]
    fn accepts_valid_arguments() {
        let args = json!({ "to": "a", "cursor": 7, "kind": "sms" })
            .as_object()
            .unwrap()
            .clone();
        let schema = schema_for!(Args);
        assert!(read_args::<Args>(args, schema.as_object().unwrap()).is_ok());
    }
}
