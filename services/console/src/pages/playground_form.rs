//! Forms made from the schema of an operation's arguments, and the arguments that a person has filled in.

use butt_dial_domain::{Code, Failure};
use maud::{Markup, html};
use serde_json::{Map, Number, Value};

use crate::member::Fields;

/// Names of arguments with long texts.
const LONG: [&str; 6] = ["body", "html", "text", "description", "reason", "instructions"];

/// Optional arguments that most calls have.
const USUAL: [&str; 5] = ["channel", "subject", "body", "text", "limit"];

/// How a person fills in an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Long,
    Choice,
    Flag,
    Whole,
    Decimal,
    /// One text a line.
    Lines,
    Json,
}

fn kind(name: &str, schema: &Value) -> Kind {
    let is_text_list = || schema["items"]["type"] == "string" && schema["items"]["enum"].is_null();
    match schema["type"].as_str() {
        _ if schema["enum"].is_array() => Kind::Choice,
        Some("string") if LONG.contains(&name) => Kind::Long,
        Some("string") => Kind::Text,
        Some("boolean") => Kind::Flag,
        Some("integer") => Kind::Whole,
        Some("number") => Kind::Decimal,
        Some("array") if is_text_list() => Kind::Lines,
        _ => Kind::Json,
    }
}

/// The field of an argument. The prefix keeps it apart from the fields of the page.
fn field_name(name: &str) -> String {
    format!("arg-{name}")
}

fn properties(schema: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn is_required(schema: &Map<String, Value>, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|names| names.iter().any(|other| other == name))
}

/// Reads the arguments of a form. Empty fields are left out.
pub fn read(schema: &Map<String, Value>, fields: &Fields) -> Result<Map<String, Value>, Failure> {
    let mut args = Map::new();
    for (name, schema) in properties(schema) {
        let given = fields.get(&field_name(name)).map_or("", |text| text.trim());
        if given.is_empty() {
            continue;
        }
        let value = parse(kind(name, schema), given);
        let value = value.map_err(|text| {
            Failure::new(Code::InvalidArgument, format!("{name}: {text}")).detail("fields", vec![name.clone()])
        })?;
        args.insert(name.clone(), value);
    }
    Ok(args)
}

fn parse(kind: Kind, given: &str) -> Result<Value, &'static str> {
    match kind {
        Kind::Text | Kind::Long | Kind::Choice => Ok(Value::from(given)),
        Kind::Flag => Ok(Value::from(given == "true")),
        Kind::Whole => given.parse::<i64>().map(Value::from).map_err(|_| "give a whole number"),
        Kind::Decimal => {
            let number = given.parse::<f64>().ok().and_then(Number::from_f64);
            number.map(Value::Number).ok_or("give a number")
        }
        Kind::Lines => {
            let lines = given.lines().map(str::trim).filter(|line| !line.is_empty());
            Ok(lines.map(Value::from).collect())
        }
        Kind::Json => serde_json::from_str(given).map_err(|_| "give valid JSON"),
    }
}

/// Renders a field for each argument: the required and the usual ones, and the others behind a summary.
pub fn fields(schema: &Map<String, Value>, old: Option<&Fields>, failure: Option<&Failure>) -> Markup {
    let wrong = failure
        .and_then(|failure| failure.details.get("fields"))
        .and_then(Value::as_array);
    let is_wrong = |name: &str| wrong.is_some_and(|names| names.iter().any(|other| other == name));
    let value = |name: &str| {
        old.and_then(|fields| fields.get(&field_name(name)))
            .map_or("", String::as_str)
    };
    let mut all: Vec<(&String, &Value)> = properties(schema).collect();
    let rank = |name: &str| match is_required(schema, name) {
        true => 0,
        false => 1 + USUAL.iter().position(|usual| *usual == name).unwrap_or(USUAL.len()),
    };
    all.sort_by_key(|(name, _)| rank(name));
    let (first, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(name, _)| rank(name) <= USUAL.len());
    let is_open = first.is_empty() || others.iter().any(|(name, _)| !value(name).is_empty() || is_wrong(name));
    let one = |name: &str, of: &Value| field(name, of, value(name), is_required(schema, name), is_wrong(name));
    html! {
        @if first.is_empty() && others.is_empty() { p class="muted" { "It has no arguments." } }
        @for (name, of) in &first { (one(name, of)) }
        @if !others.is_empty() {
            details open[is_open] {
                summary { @if first.is_empty() { "Arguments" } @else { "More arguments" } " (" (others.len()) ")" }
                div class="stack" { @for (name, of) in &others { (one(name, of)) } }
            }
        }
    }
}

fn field(name: &str, schema: &Value, value: &str, required: bool, is_wrong: bool) -> Markup {
    let (id, kind) = (field_name(name), kind(name, schema));
    let hint_id = format!("{id}-hint");
    let hint = schema["description"].as_str().unwrap_or_default();
    let form = match kind {
        Kind::Lines => "One a line. ",
        Kind::Json => "JSON. ",
        _ => "",
    };
    let described = (!hint.is_empty() || !form.is_empty()).then_some(hint_id.as_str());
    let invalid = is_wrong.then_some("true");
    let options: Vec<&str> = match kind {
        Kind::Choice => schema["enum"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect(),
        Kind::Flag => vec!["true", "false"],
        _ => Vec::new(),
    };
    html! {
        div class="field" {
            label for=(id) { code { (name) } @if !required { span class="muted" { " (optional)" } } }
            @match kind {
                Kind::Choice | Kind::Flag => {
                    select id=(id) name=(id) aria-describedby=[described] aria-invalid=[invalid] required[required] {
                        option value="" { @if required { "Choose" } @else { "Not given" } }
                        @for option in options { option value=(option) selected[option == value] { (option) } }
                    }
                }
                Kind::Long | Kind::Lines | Kind::Json => {
                    textarea id=(id) name=(id) class=(if kind == Kind::Long { "low" } else { "low mono" }) aria-describedby=[described] aria-invalid=[invalid] required[required] { (value) }
                }
                Kind::Text | Kind::Whole | Kind::Decimal => {
                    input type="text" id=(id) name=(id) value=(value) autocomplete="off" aria-describedby=[described] aria-invalid=[invalid]
                        inputmode=[(kind != Kind::Text).then_some("decimal")] required[required];
                }
            }
            @if described.is_some() { p class="hint" id=(hint_id) { (form) (hint) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_operations as operations;
    use serde_json::json;

    use super::*;

    fn schema() -> Map<String, Value> {
        let schema = json!({ "type": "object", "required": ["to"], "properties": {
            "to": { "type": "string", "description": "<b>who</b>" }, "body": { "type": "string" }, "limit": { "type": "integer" },
            "price": { "type": "number" }, "retry": { "type": "boolean" }, "channel": { "type": "string", "enum": ["sms", "email"] },
            "media": { "type": "array", "items": { "type": "string" } }, "headers": { "type": "object" } } });
        schema.as_object().cloned().unwrap_or_default()
    }

    fn posted(pairs: &[(&str, &str)]) -> Fields {
        pairs
            .iter()
            .map(|(name, value)| (field_name(name), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn reads_each_kind_and_leaves_empty_fields_out() {
        let fields = posted(&[
            ("to", " +1 "),
            ("body", ""),
            ("limit", "7"),
            ("price", "0.5"),
            ("retry", "false"),
            ("channel", "sms"),
            ("media", "a\n\n b "),
            ("headers", "{\"X-A\":\"1\"}"),
        ]);
        let args = Value::Object(read(&schema(), &fields).unwrap());
        let expected = json!({ "to": "+1", "limit": 7, "price": 0.5, "retry": false, "channel": "sms", "media": ["a", "b"],
            "headers": { "X-A": "1" } });
        assert_eq!(args, expected);
    }

    #[test]
    fn names_the_argument_that_is_wrong() {
        for (name, value) in [("limit", "many"), ("price", "NaN"), ("headers", "{")] {
            let failure = read(&schema(), &posted(&[(name, value)])).unwrap_err();
            assert_eq!(failure.details["fields"], json!([name]));
            let shown = fields(&schema(), Some(&posted(&[(name, value)])), Some(&failure)).into_string();
            assert!(shown.contains("aria-invalid=\"true\""), "{name}");
            assert_eq!(shown.contains("<details open"), name != "limit", "{name}");
        }
    }

    #[test]
    fn renders_a_field_for_each_argument_of_all_operations() {
        let shown = fields(&schema(), None, None).into_string();
        assert!(shown.contains("&lt;b&gt;who") && shown.find("arg-to").unwrap() < shown.find("arg-body").unwrap());
        for definition in operations::all() {
            let shown = fields(&definition.tool_schema, None, None).into_string();
            for (name, _) in properties(&definition.tool_schema) {
                assert!(
                    shown.contains(&format!("name=\"arg-{name}\"")),
                    "{} {name}",
                    definition.name
                );
            }
        }
    }
}
