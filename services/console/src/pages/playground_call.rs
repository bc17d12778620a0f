//! A call of an operation as programs make it: over REST, as a message of MCP, and with the Python package.

use butt_dial_operations::Definition;
use maud::{Markup, html};
use serde_json::{Map, Value, json};

use crate::parts;

/// Renders the call in each form, to copy. Without arguments, the required ones have placeholders.
pub fn examples(base: &str, definition: &Definition, args: Option<&Map<String, Value>>) -> Markup {
    let placeholders = placeholders(definition);
    let args = args.filter(|args| !args.is_empty()).unwrap_or(&placeholders);
    let mcp = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": definition.name, "arguments": args } });
    html! {
        @if let Some(curl) = curl(base, definition, args) { (parts::code_block("as-curl", "curl", &curl)) }
        (parts::code_block("as-mcp", "MCP", &format!("{mcp:#}")))
        (parts::code_block("as-python", "Python, butt-dial-sdk", &python(base, definition.name, args)))
    }
}

fn placeholders(definition: &Definition) -> Map<String, Value> {
    let required = definition.tool_schema.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| (name.to_owned(), json!("…"))).collect()
}

fn curl(base: &str, definition: &Definition, args: &Map<String, Value>) -> Option<String> {
    let route = definition.route?;
    let mut left = args.clone();
    let mut path = String::new();
    for (place, part) in route.path.split('/').enumerate() {
        if place > 0 {
            path.push('/');
        }
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => {
                let value = left.remove(name).unwrap_or_else(|| json!("…"));
                let encoded: String = url::form_urlencoded::byte_serialize(plain(&value).as_bytes()).collect();
                path.push_str(&encoded.replace('+', "%20"));
            }
            None => path.push_str(part),
        }
    }
    let mut line = "curl -s".to_owned();
    if route.method != "GET" && route.method != "POST" {
        line.push_str(&format!(" -X {}", route.method));
    }
    if route.method == "GET" || route.method == "DELETE" {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &left {
            query.append_pair(name, &plain(value));
        }
        let query = query.finish();
        let mark = if query.is_empty() { "" } else { "?" };
        line.push_str(&format!(
            " {} -H \"Authorization: Bearer $AGENT_TOKEN\"",
            shell(&format!("{base}{path}{mark}{query}"))
        ));
        return Some(line);
    }
    line.push_str(&format!(
        " {} \\\n  -H \"Authorization: Bearer $AGENT_TOKEN\" -H 'Content-Type: application/json' \\\n  -d {}",
        shell(&format!("{base}{path}")),
        shell(&Value::Object(left).to_string())
    ));
    Some(line)
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// Quotes a text for the shell.
fn shell(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn python(base: &str, name: &str, args: &Map<String, Value>) -> String {
    let args = Value::Object(args.clone());
    format!(
        "import asyncio\nimport os\nfrom buttdial import Agent\n\nagent = Agent(\n    {},\n    agent_token=os.environ[\"AGENT_TOKEN\"],\n)\nresult = agent.call_tool(\n    {},\n    {},\n)\nprint(asyncio.run(result))",
        literal(&json!(base)),
        literal(&json!(name)),
        literal(&args)
    )
}

/// Writes a value as Python does.
fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(values) => format!("[{}]", values.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let pairs = fields
                .iter()
                .map(|(name, value)| format!("{}: {}", literal(&json!(name)), literal(value)));
            format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
        }
        // The escapes of JSON are those of Python.
        plain => plain.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_operations as operations;

    use super::*;

    fn operation(name: &str) -> &'static Definition {
        operations::all()
            .iter()
            .find(|definition| definition.name == name)
            .unwrap()
    }

    fn args(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn quotes_arguments_for_the_shell() {
        let send = args(json!({ "to": "+1", "body": "it's $HOME" }));
        let line = curl("http://x", operation("comms_send_message"), &send).unwrap();
        assert!(line.contains(r#"-d '{"#) && line.contains(r"it'\''s $HOME"), "{line}");
        assert!(line.contains("'http://x/api/v1/send-message'"), "{line}");
    }

    #[test]
    fn puts_arguments_into_path_and_query() {
        let line = curl(
            "http://x",
            operation("comms_get_call"),
            &args(json!({ "callId": "call 1" })),
        )
        .unwrap();
        assert!(line.contains("/call%201") && !line.contains("-d "), "{line}");
    }

    #[test]
    fn writes_literals_of_python() {
        let value = json!({ "a": true, "b": null, "c": ["\"x\"", 1.5] });
        assert_eq!(literal(&value), r#"{"a": True, "b": None, "c": ["\"x\"", 1.5]}"#);
    }
}
