//! The schema of arguments in a brief list of tools. Every token of the list is in the context of each agent, so it has names,
//! types, enums and required arguments, and few descriptions. OpenAPI has all of them.

use serde_json::{Map, Value, json};

/// The member of an argument's schema that says how a brief list shows the argument. A text is its description, members of an
/// object replace those of the schema, and `false` leaves the argument out: it is accepted nevertheless.
const BRIEF: &str = "x-brief";

/// Bounds that a brief list leaves out; a refusal names them.
const LENGTHS: [&str; 4] = ["minLength", "maxLength", "minItems", "maxItems"];

/// Returns the schema for a brief list of tools, from a portable one.
pub fn brief(schema: &Map<String, Value>) -> Map<String, Value> {
    let mut schema = schema.clone();
    shorten(&mut schema);
    schema
}

/// Declares that a tool takes no further arguments, as strict modes of model APIs require. A brief schema does so only when it has
/// all arguments: clients that check calls against it would refuse those that it leaves out.
pub fn close(complete: &mut Map<String, Value>, brief: &mut Map<String, Value>) {
    let count = |schema: &Map<String, Value>| schema.get("properties").and_then(Value::as_object).map(Map::len);
    let has_all = count(complete) == count(brief);
    complete.insert("additionalProperties".into(), json!(false));
    if has_all {
        brief.insert("additionalProperties".into(), json!(false));
    }
}

fn shorten(schema: &mut Map<String, Value>) {
    let shown = schema.remove(BRIEF);
    schema.remove("description");
    schema.remove("examples");
    // Strict modes of some model APIs refuse lengths. Numbers below 1 make no sense in any case.
    LENGTHS.iter().for_each(|key| drop(schema.remove(*key)));
    if schema
        .get("minimum")
        .is_some_and(|minimum| minimum == 0 || minimum == 1)
    {
        schema.remove("minimum");
    }
    // The description says it.
    schema.remove("default");
    if let Some(Value::Array(alternatives)) = schema.get("anyOf") {
        // A text or a number: the text suffices.
        let is_scalar = |kind: &Value| matches!(kind["type"].as_str(), Some("string" | "integer"));
        if alternatives.iter().all(is_scalar) {
            schema.remove("anyOf");
            schema.insert("type".into(), json!("string"));
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(Value::Object(nested)) = schema.get_mut(key) {
            shorten(nested);
        }
    }
    if let Some(Value::Array(alternatives)) = schema.get_mut("anyOf") {
        alternatives
            .iter_mut()
            .filter_map(Value::as_object_mut)
            .for_each(shorten);
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|_, property| property[BRIEF] != false);
        properties
            .values_mut()
            .filter_map(Value::as_object_mut)
            .for_each(shorten);
    }
    match shown {
        Some(Value::String(description)) => {
            schema.insert("description".into(), description.into());
        }
        Some(Value::Object(members)) => schema.extend(members),
        _ => {}
    }
}

/// Removes what only a brief list needs.
pub fn remove_brief(schema: &mut Map<String, Value>) {
    schema.remove(BRIEF);
    for nested in schema.values_mut() {
        match nested {
            Value::Object(nested) => remove_brief(nested),
            Value::Array(items) => items.iter_mut().filter_map(Value::as_object_mut).for_each(remove_brief),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Map<String, Value> {
        let schema = json!({
            "type": "object",
            "required": ["to"],
            "properties": {
                "to": { "type": "string", "description": "Long.", "examples": ["+14155550123"], "x-brief": "Short." },
                "kind": { "type": "string", "description": "a, b or c.", "x-brief": { "enum": ["a", "b"] } },
                "rare": { "type": "string", "x-brief": false },
                "limit": { "type": "integer", "minimum": 1, "maximum": 200, "description": "Rows." },
                "lat": { "type": "number", "minimum": -90, "maximum": 90 },
                "key": { "type": "string", "minLength": 1, "maxLength": 255 },
                "cursor": { "anyOf": [{ "type": "string" }, { "type": "integer" }], "description": "Where." },
                "description": { "type": "array", "items": { "type": "string", "description": "One." } },
                "place": {
                    "type": "object",
                    "required": ["name"],
                    "properties": { "name": { "type": "string", "description": "Its name." } },
                },
            },
        });
        schema.as_object().unwrap().clone()
    }

    #[test]
    fn brief_schema_has_types_and_few_descriptions() {
        let expected = json!({
            "type": "object",
            "required": ["to"],
            "properties": {
                "to": { "type": "string", "description": "Short." },
                "kind": { "type": "string", "enum": ["a", "b"] },
                "limit": { "type": "integer", "maximum": 200 },
                "lat": { "type": "number", "minimum": -90, "maximum": 90 },
                "key": { "type": "string" },
                "cursor": { "type": "string" },
                "description": { "type": "array", "items": { "type": "string" } },
                "place": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } },
            },
        });
        assert_eq!(Value::Object(brief(&schema())), expected);
    }

    #[test]
    fn schema_without_all_arguments_is_not_closed() {
        let mut complete = schema();
        let mut without_rare = brief(&complete);
        close(&mut complete, &mut without_rare);
        assert_eq!(complete["additionalProperties"], false);
        assert!(!without_rare.contains_key("additionalProperties"));
        complete["properties"].as_object_mut().unwrap().remove("rare");
        close(&mut complete, &mut without_rare);
        assert_eq!(without_rare["additionalProperties"], false);
    }

    #[test]
    fn complete_schema_has_no_members_of_the_brief_one() {
        let mut complete = schema();
        remove_brief(&mut complete);
        assert!(!Value::Object(complete.clone()).to_string().contains(BRIEF));
        assert_eq!(complete["properties"]["to"]["description"], "Long.");
        assert_eq!(complete["properties"]["rare"], json!({ "type": "string" }));
    }
}
