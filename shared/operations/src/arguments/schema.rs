//! The schemas of an operation's arguments: the complete one of OpenAPI, and the portable one of MCP tools.

use serde_json::{Map, Value, json};

use super::ERROR;

/// Formats that every consumer of JSON Schema knows. Others, such as `uint32`, are of Rust.
const KNOWN_FORMATS: [&str; 3] = ["date-time", "uri", "email"];

/// Declares that `null` is accepted for every argument that is not required: it means that the argument is absent.
pub fn accept_null(schema: &mut Map<String, Value>) {
    let required = schema.get("required").cloned().unwrap_or_default();
    let is_required = |name: &str| {
        required
            .as_array()
            .is_some_and(|names| names.iter().any(|other| other == name))
    };
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    for (name, property) in properties {
        let Some(property) = property.as_object_mut().filter(|_| !is_required(name)) else {
            continue;
        };
        if let Some(Value::String(only)) = property.get("type") {
            let types = json!([only, "null"]);
            property.insert("type".into(), types);
        }
        if let Some(Value::Array(values)) = property.get_mut("enum")
            && !values.contains(&Value::Null)
        {
            values.push(Value::Null);
        }
        if let Some(Value::Array(forms)) = property.get_mut("anyOf") {
            let null = json!({ "type": "null" });
            if !forms.contains(&null) {
                forms.push(null);
            }
        }
    }
}

/// Returns the schema for MCP clients, which pass it to a language model: no `null` as a type, because some model APIs
/// refuse lists of types, and nothing that says only what is the default anyway. `null` is accepted nevertheless.
pub fn portable(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut schema = schema.clone();
    simplify(&mut schema);
    schema.entry("type").or_insert_with(|| json!("object"));
    // Some model APIs refuse an object without it.
    schema.entry("properties").or_insert_with(|| json!({}));
    // Depends on the operation: `close`.
    schema.remove("additionalProperties");
    schema
}

fn simplify(schema: &mut Map<String, Value>) {
    schema.remove(ERROR);
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".into(), only);
        }
    }
    for key in ["anyOf", "oneOf"] {
        let Some(Value::Array(alternatives)) = schema.get_mut(key) else {
            continue;
        };
        alternatives.retain(|alternative| alternative["type"] != "null");
        if alternatives.len() > 1 {
            alternatives.retain(|alternative| !is_open_object(alternative));
        }
        if let [Value::Object(only)] = alternatives.as_mut_slice() {
            let only = std::mem::take(only);
            schema.remove(key);
            for (name, value) in only {
                schema.entry(name).or_insert(value);
            }
            // It can have alternatives, too.
            return simplify(schema);
        }
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    constants_to_enum(schema);
    // Unknown names within an argument are always refused, and strict modes of model APIs require that a schema says so.
    if schema.get("type").is_some_and(|kind| kind == "object") && schema.get("properties").is_some_and(Value::is_object)
    {
        schema.insert("additionalProperties".into(), json!(false));
    }
    let is_known = |format: &Value| KNOWN_FORMATS.iter().any(|known| format == known);
    if schema.get("format").is_some_and(|format| !is_known(format)) {
        schema.remove("format");
    }
    if schema.get("default").is_some_and(is_empty) {
        schema.remove("default");
    }
    for value in schema.values_mut() {
        simplify_nested(value);
    }
}

fn simplify_nested(value: &mut Value) {
    match value {
        Value::Object(nested) => simplify(nested),
        Value::Array(items) => items.iter_mut().for_each(simplify_nested),
        _ => {}
    }
}

/// Writes alternatives that are constants as one `enum`.
fn constants_to_enum(schema: &mut Map<String, Value>) {
    let constants = schema.get("oneOf").and_then(Value::as_array).and_then(|alternatives| {
        let constants = alternatives.iter().map(|alternative| alternative.get("const").cloned());
        constants.collect::<Option<Vec<Value>>>()
    });
    if let Some(constants) = constants {
        schema.remove("oneOf");
        schema.insert("type".into(), json!("string"));
        schema.insert("enum".into(), Value::Array(constants));
    }
}

/// Returns whether the names of an object's fields are free: strict modes of model APIs take no such object.
fn is_open_object(schema: &Value) -> bool {
    schema["type"] == "object" && schema.get("properties").is_none()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_arguments_accept_null() {
        let mut schema = json!({
            "required": ["to"],
            "properties": {
                "to": { "type": "string" },
                "limit": { "type": "integer" },
                "kind": { "type": "string", "enum": ["a"] },
                "at": { "type": ["string", "null"] },
            },
        });
        accept_null(schema.as_object_mut().unwrap());
        let expected = json!({
            "to": { "type": "string" },
            "limit": { "type": ["integer", "null"] },
            "kind": { "type": ["string", "null"], "enum": ["a", null] },
            "at": { "type": ["string", "null"] },
        });
        assert_eq!(schema["properties"], expected);
    }

    #[test]
    fn portable_schema_has_single_types_and_known_formats() {
        let schema = json!({
            "type": "object",
            "properties": {
                "limit": { "type": ["integer", "null"], "format": "uint32", "minimum": 0, "default": null },
                "at": { "type": ["string", "null"], "format": "date-time" },
                "place": { "description": "d", "anyOf": [{ "type": "object", "description": "e" }, { "type": "null" }] },
                "kind": { "oneOf": [{ "type": "string", "const": "a" }, { "type": "string", "const": "b" }] },
                "cursor": { "anyOf": [{ "type": "string" }, { "type": "integer", "format": "int64" }, { "type": "null" }] },
                "retry": { "type": "boolean", "default": false },
                "level": { "type": ["string", "null"], "enum": ["low", "high", null] },
                "values": { "default": [], "anyOf": [
                    { "type": "array", "items": { "type": "string" } },
                    { "type": "object", "additionalProperties": { "type": "string" } },
                ] },
            },
        });
        let expected = json!({
            "type": "object",
            "properties": {
                "limit": { "type": "integer", "minimum": 0 },
                "at": { "type": "string", "format": "date-time" },
                "place": { "description": "d", "type": "object" },
                "kind": { "type": "string", "enum": ["a", "b"] },
                "cursor": { "anyOf": [{ "type": "string" }, { "type": "integer" }] },
                "retry": { "type": "boolean" },
                "level": { "type": "string", "enum": ["low", "high"] },
                "values": { "type": "array", "items": { "type": "string" } },
            },
        });
        assert_eq!(Value::Object(portable(schema.as_object().unwrap())), expected);
    }

    /// Members of a schema that the strict modes of all common model APIs know, or remove without a change of meaning.
    const STRICT: [&str; 12] = [
        "type",
        "properties",
        "required",
        "items",
        "anyOf",
        "enum",
        "description",
        "format",
        "minimum",
        "maximum",
        "additionalProperties",
        "examples",
    ];

    /// Checks what the strict mode of a model API refuses: objects with members that are not declared, or open ones. A tool that
    /// accepts extra arguments is closed by the clients of these modes.
    fn check_strict(schema: &Map<String, Value>, path: &str) {
        let is_object = schema.get("type").is_some_and(|kind| kind == "object");
        match schema.get("additionalProperties") {
            Some(allowed) => assert_eq!(allowed, &json!(false), "{path}: {schema:?}"),
            None => assert!(path.is_empty() || !is_object, "{path}: {schema:?}"),
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => {
                let properties = schema.get("properties").and_then(Value::as_object);
                assert!(properties.is_some(), "{path}: {schema:?}");
                for (name, property) in properties.into_iter().flatten() {
                    check_strict(property.as_object().unwrap(), &format!("{path}.{name}"));
                }
            }
            Some("array") => check_strict(schema["items"].as_object().unwrap(), &format!("{path}[]")),
            Some(_) => {}
            None => {
                let alternatives = schema.get("anyOf").and_then(Value::as_array);
                assert!(alternatives.is_some(), "{path}: {schema:?}");
                for alternative in alternatives.into_iter().flatten() {
                    check_strict(alternative.as_object().unwrap(), path);
                }
            }
        }
    }

    #[test]
    fn strict_modes_of_model_apis_take_all_tools() {
        for tool in crate::all().iter().filter(|tool| tool.hints.is_some()) {
            check_strict(&tool.tool_schema, "");
            check_strict(&tool.brief_schema, "");
            let text = Value::Object(tool.brief_schema.clone()).to_string();
            let mut members = Vec::new();
            collect_members(&Value::Object(tool.brief_schema.clone()), &mut members);
            for member in members {
                assert!(STRICT.contains(&member.as_str()), "{} {member}: {text}", tool.name);
            }
        }
    }

    #[test]
    fn tools_are_closed_unless_they_take_more_arguments() {
        let (mut closed, mut brief) = (0, 0);
        for tool in crate::all().iter().filter(|tool| tool.hints.is_some()) {
            let accepts_extra = tool.input_schema["additionalProperties"] == true;
            let is_closed = |schema: &Map<String, Value>| schema.contains_key("additionalProperties");
            assert_eq!(is_closed(&tool.tool_schema), !accepts_extra, "{}", tool.name);
            assert!(!is_closed(&tool.brief_schema) || !accepts_extra, "{}", tool.name);
            closed += usize::from(is_closed(&tool.tool_schema));
            brief += usize::from(is_closed(&tool.brief_schema));
        }
        assert!(closed > 20 && brief > 18, "{closed} {brief}");
    }

    fn collect_members(schema: &Value, members: &mut Vec<String>) {
        for (name, value) in schema.as_object().into_iter().flatten() {
            members.push(name.clone());
            match (name.as_str(), value) {
                ("properties", Value::Object(properties)) => {
                    properties
                        .values()
                        .for_each(|property| collect_members(property, members));
                }
                ("items", item) => collect_members(item, members),
                ("anyOf", Value::Array(kinds)) => kinds.iter().for_each(|kind| collect_members(kind, members)),
                _ => {}
            }
        }
    }
}
