//! The OpenAPI 3.1 document, made from the operations themselves: it can't drift from what is served.

use serde_json::{Map, Value, json};

use crate::operations::{self, Definition, Route};

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
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": { "Failure": failure() },
        },
    })
}

fn operation(definition: &Definition, route: Route) -> Value {
    let in_path = |name: &str| route.path.contains(&format!("{{{name}}}"));
    let required = definition
        .input_schema
        .get("required")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let properties = definition
        .input_schema
        .get("properties")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let has_body = route.method != "GET";
    let parameters: Vec<Value> = properties
        .iter()
        .filter(|(name, _)| in_path(name) || !has_body)
        .map(|(name, schema)| {
            let place = if in_path(name) { "path" } else { "query" };
            let needed = in_path(name) || required.iter().any(|r| r == name);
            json!({ "name": name, "in": place, "required": needed, "schema": schema })
        })
        .collect();
    let mut operation = json!({
        "operationId": definition.name,
        "summary": definition.title,
        "description": definition.description,
        "parameters": parameters,
        "responses": {
            route.status.to_string(): {
                "description": "Done.",
                "content": { "application/json": { "schema": definition.output_schema } },
            },
            "default": {
                "description": "Refused, or failed; `code` says why.",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Failure" } } },
            },
        },
    });
    let mut body = definition.input_schema.clone();
    if let Some(fields) = body.get_mut("properties").and_then(Value::as_object_mut) {
        fields.retain(|name, _| !in_path(name));
    }
    if let Some(names) = body.get_mut("required").and_then(Value::as_array_mut) {
        names.retain(|name| !name.as_str().is_some_and(in_path));
    }
    if has_body && body["properties"].as_object().is_some_and(|fields| !fields.is_empty()) {
        operation["requestBody"] = json!({ "required": true, "content": { "application/json": { "schema": body } } });
    }
    operation
}

fn failure() -> Value {
    json!({
        "type": "object",
        "required": ["error", "retryable"],
        "properties": {
            "error": { "type": "string", "description": "One sentence for people." },
            "code": { "type": "string", "description": "For programs; absent on a plain rate limit, where `reason` has it." },
            "channel": { "type": "string" },
            "remediation": { "type": "string", "description": "What to do about it." },
            "retryable": { "type": "boolean", "description": "Whether the same request may succeed later." },
            "retryAfterSeconds": { "type": "integer" },
        },
    })
}
