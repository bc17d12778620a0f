//! The OpenAPI 3.1 document. It is generated from the operations, so it always describes what is served.

use std::collections::BTreeMap;

use butt_dial_domain::{Code, Scope};
use butt_dial_operations::{self as operations, Definition, Route, errors};
use serde_json::{Map, Value, json};

use butt_dial_runtime::http::error_body;

use super::groups::{GROUPS, group_of};

pub fn document() -> Value {
    let mut paths = Map::new();
    for definition in operations::all() {
        let Some(route) = definition.route else { continue };
        let methods = paths.entry(route.path).or_insert_with(|| json!({}));
        methods[route.method.to_lowercase()] = operation(definition, route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Butt-Dial",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "A phone number, SMS, e-mail and WhatsApp for AI agents. The same operations are MCP tools at /mcp, \
                /mcp-legacy and /sse.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "tags": tags(),
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Failure": failure_schema() },
        },
    })
}

fn tags() -> Vec<Value> {
    let tag = |(name, description, _): &(&str, &str, &[&str])| json!({ "name": name, "description": description });
    GROUPS.iter().map(tag).collect()
}

fn operation(definition: &Definition, route: Route) -> Value {
    let in_path = |name: &str| route.path.contains(&format!("{{{name}}}"));
    let required = definition
        .input_schema
        .get("required")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    // A URL has no `null`.
    let properties = definition
        .tool_schema
        .get("properties")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let has_body = route.method != "GET";
    let mut parameters: Vec<Value> = properties
        .iter()
        .filter(|(name, _)| in_path(name) || !has_body)
        .map(|(name, schema)| {
            let location = if in_path(name) { "path" } else { "query" };
            let is_required = in_path(name) || required.iter().any(|r| r == name);
            json!({ "name": name, "in": location, "required": is_required, "schema": schema })
        })
        .collect();
    parameters.extend(definition.headers.iter().map(|header| {
        json!({ "name": header.name, "in": "header", "description": header.description, "schema": { "type": "string" } })
    }));
    let mut operation = json!({
        "operationId": definition.name,
        "tags": group_of(route.path).into_iter().collect::<Vec<_>>(),
        "summary": definition.title,
        "description": definition.description,
        "parameters": parameters,
        "responses": responses(definition, route),
    });
    if definition.scope == Scope::Anyone {
        operation["security"] = json!([]);
    }
    let mut body = definition.input_schema.clone();
    if let Some(fields) = body.get_mut("properties").and_then(Value::as_object_mut) {
        fields.retain(|name, _| !in_path(name));
    }
    if let Some(names) = body.get_mut("required").and_then(Value::as_array_mut) {
        names.retain(|name| !name.as_str().is_some_and(in_path));
    }
    if has_body && body["properties"].as_object().is_some_and(|fields| !fields.is_empty()) {
        let required = body.get("required").and_then(Value::as_array);
        let is_required = required.is_some_and(|names| !names.is_empty());
        let example = request_example(definition, &body);
        operation["requestBody"] = json!({
            "required": is_required,
            "content": { "application/json": { "schema": body, "example": example } },
        });
    }
    operation
}

/// Returns a body that readers of the description can send: the example of the operation, or its required fields.
fn request_example(definition: &Definition, body: &Map<String, Value>) -> Value {
    if let Some(example) = definition.example.and_then(|text| serde_json::from_str(text).ok()) {
        return example;
    }
    let required = body.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    let fields = names.filter_map(|name| Some((name.to_owned(), example_value(body.get("properties")?.get(name)?))));
    Value::Object(fields.collect())
}

fn example_value(schema: &Value) -> Value {
    if let Some(example) = schema["examples"].get(0).or_else(|| schema["enum"].get(0)) {
        return example.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => json!({}),
        Some("array") => json!([]),
        Some("boolean") => json!(true),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        _ => json!("…"),
    }
}

/// Returns the responses by status: the result, and the errors that the operation declares with an example of each code.
fn responses(definition: &Definition, route: Route) -> Map<String, Value> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in definition.errors() {
        by_status.entry(code.http_status()).or_default().push(code);
    }
    let mut responses = Map::new();
    let result = json!({
        "description": "The result.",
        "content": { definition.content_type: { "schema": definition.output_schema } },
    });
    responses.insert(route.status.to_string(), result);
    for (status, codes) in by_status {
        responses.insert(status.to_string(), error_response(&codes));
    }
    let other = json!({
        "description": "Any other error.",
        "content": { "application/json": { "schema": failure_ref() } },
    });
    responses.insert("default".into(), other);
    responses
}

fn error_response(codes: &[Code]) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let examples: Map<String, Value> = codes
        .iter()
        .map(|code| (code.as_str().to_owned(), json!({ "value": example_body(*code) })))
        .collect();
    json!({
        "description": names.join(", "),
        "content": {
            "application/json": { "schema": failure_ref(), "examples": examples },
        },
    })
}

/// Returns the body of an error response, as the HTTP edge renders it.
fn example_body(code: Code) -> Value {
    error_body(&errors::example(code))
}

fn failure_ref() -> Value {
    json!({ "$ref": "#/components/schemas/Failure" })
}

fn failure_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error", "retryable"],
        "properties": {
            "error": { "type": "string", "description": "What happened, in one sentence." },
            "code": { "type": "string", "description": "A constant for programs. On RATE_LIMITED it is absent, and `reason` holds the code." },
            "channel": { "type": "string" },
            "remediation": { "type": "string", "description": "How to fix the problem." },
            "retryable": { "type": "boolean", "description": "Whether the same request may succeed later." },
            "retryAfterSeconds": { "type": "integer", "description": "When to retry." },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_an_example_with_its_code() {
        let document = document();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for operation in methods.as_object().unwrap().values() {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let Some(examples) = response["content"]["application/json"]["examples"].as_object() else {
                        continue;
                    };
                    for (code, example) in examples {
                        let body = &example["value"];
                        let found = [&body["code"], &body["reason"]];
                        assert!(found.contains(&&json!(code)), "{path} {status} {code}");
                        assert!(
                            body["error"].is_string() && body["retryable"].is_boolean(),
                            "{path} {code}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn every_example_is_an_object_with_declared_fields() {
        for definition in operations::all() {
            let Some(text) = definition.example else { continue };
            let example: Map<String, Value> = serde_json::from_str(text).expect(definition.name);
            let declared = definition.input_schema["properties"].as_object().unwrap();
            for name in example.keys() {
                assert!(declared.contains_key(name), "{} {name}", definition.name);
            }
        }
    }

    #[test]
    fn send_message_declares_its_errors_by_status() {
        let document = document();
        let responses = &document["paths"]["/api/v1/send-message"]["post"]["responses"];
        for (status, code) in [
            ("401", "AUTH_INVALID_TOKEN"),
            ("402", "SPEND_LIMIT"),
            ("422", "CONTACT_OPTED_OUT"),
        ] {
            let examples = &responses[status]["content"]["application/json"]["examples"];
            assert!(examples[code].is_object(), "{status} {code}");
        }
    }
}
