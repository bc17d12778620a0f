//! Reads the JSON-RPC messages of clients before rmcp does. Adds what lenient clients leave out of a handshake, and answers
//! what is no valid message with the code that JSON-RPC 2.0 and MCP name: rmcp answers it with an HTTP status only, or takes
//! a known method with invalid parameters for an unknown one.

use butt_dial_domain::{Code, Failure};
use rmcp::model::{ErrorCode, ErrorData, ProtocolVersion, RequestId, ServerJsonRpcMessage};
use serde_json::{Map, Value, json};

/// Levels of `logging/setLevel` (MCP 2025-11-25, "Logging").
const LEVELS: [&str; 8] = [
    "debug",
    "info",
    "notice",
    "warning",
    "error",
    "critical",
    "alert",
    "emergency",
];

/// A message that is refused.
#[derive(Debug)]
pub struct InvalidMessage {
    pub id: Option<RequestId>,
    error: ErrorData,
    /// The message itself is invalid, and not only the parameters of its method.
    pub is_malformed: bool,
}

impl InvalidMessage {
    fn malformed(code: ErrorCode, id: Option<RequestId>, text: &str) -> Self {
        Self {
            id,
            error: error(code, text),
            is_malformed: true,
        }
    }

    /// A message that is no request, notification or response.
    pub fn unreadable(id: Option<RequestId>) -> Self {
        Self::malformed(ErrorCode::INVALID_REQUEST, id, "the body is not a JSON-RPC 2.0 message")
    }

    fn params(id: Option<RequestId>, text: impl AsRef<str>) -> Self {
        Self {
            id,
            error: error(ErrorCode::INVALID_PARAMS, text.as_ref()),
            is_malformed: false,
        }
    }

    /// Returns the error message for the client, without an id if there is none.
    pub fn into_response(self) -> ServerJsonRpcMessage {
        ServerJsonRpcMessage::error(self.error, self.id)
    }
}

fn error(code: ErrorCode, text: &str) -> ErrorData {
    let failure = Failure::new(Code::InvalidArgument, text.to_owned());
    ErrorData::new(code, failure.message.clone(), Some(failure.envelope()))
}

/// A message that rmcp can read.
#[derive(Debug)]
pub struct Checked {
    pub id: Option<RequestId>,
    /// The whole message, if it needed a repair.
    pub repaired: Option<Vec<u8>>,
}

/// Checks a message, and repairs it if needed.
pub fn check(body: &[u8]) -> Result<Checked, InvalidMessage> {
    let mut message = match serde_json::from_slice(body) {
        Ok(Value::Object(message)) => message,
        Ok(Value::Array(_)) => {
            let text = "batches are not supported: send one message per request";
            return Err(InvalidMessage::malformed(ErrorCode::INVALID_REQUEST, None, text));
        }
        Ok(_) => {
            let text = "the body must be a JSON-RPC 2.0 message, which is an object";
            return Err(InvalidMessage::malformed(ErrorCode::INVALID_REQUEST, None, text));
        }
        Err(_) => {
            let text = "the body is not valid JSON";
            return Err(InvalidMessage::malformed(ErrorCode::PARSE_ERROR, None, text));
        }
    };
    let id = match message.get("id") {
        None => None,
        Some(id) => match serde_json::from_value(id.clone()) {
            Ok(id) => Some(id),
            Err(_) => {
                let text = "id must be text or a whole number";
                return Err(InvalidMessage::malformed(ErrorCode::INVALID_REQUEST, None, text));
            }
        },
    };
    let invalid = |text: &str| Err(InvalidMessage::malformed(ErrorCode::INVALID_REQUEST, id.clone(), text));
    if message.get("jsonrpc").is_none_or(|version| version != "2.0") {
        return invalid("jsonrpc must be \"2.0\"");
    }
    let is_response = message.contains_key("result") || message.contains_key("error");
    let method = match message.get("method") {
        Some(Value::String(method)) => method.clone(),
        None if is_response => return Ok(Checked { id, repaired: None }),
        _ => return invalid("method must be text"),
    };
    match message.get("params") {
        None | Some(Value::Object(_)) => {}
        // A client that writes every field.
        Some(Value::Null) => {
            message.remove("params");
            return repaired(&method, id, message, true);
        }
        Some(_) => return invalid("params must be an object"),
    }
    repaired(&method, id, message, false)
}

fn repaired(
    method: &str,
    id: Option<RequestId>,
    mut message: Map<String, Value>,
    mut is_changed: bool,
) -> Result<Checked, InvalidMessage> {
    let mut no_params = Map::new();
    let params = message.get_mut("params").and_then(Value::as_object_mut);
    match method {
        "initialize" => {
            let params = params.unwrap_or(&mut no_params);
            is_changed |= complete_introduction(params, &id)?;
        }
        "tools/call" => is_changed |= check_tool_call(params.unwrap_or(&mut no_params), &id)?,
        "logging/setLevel" => {
            let level = params.and_then(|params| params.get("level")?.as_str());
            if !level.is_some_and(|level| LEVELS.contains(&level)) {
                return Err(InvalidMessage::params(
                    id,
                    format!("level must be one of {}", LEVELS.join(", ")),
                ));
            }
        }
        "resources/read" | "resources/subscribe" | "resources/unsubscribe"
            if params.as_ref().and_then(|params| params.get("uri")?.as_str()).is_none() =>
        {
            return Err(InvalidMessage::params(id, "uri must be text"));
        }
        _ => {}
    }
    if !no_params.is_empty() {
        message.insert("params".into(), Value::Object(no_params));
    }
    // Serializing a value of serde_json can't fail.
    Ok(Checked {
        id,
        repaired: is_changed.then(|| Value::Object(message).to_string().into_bytes()),
    })
}

/// Adds the members of `initialize` that some clients leave out. They change nothing for this server.
fn complete_introduction(params: &mut Map<String, Value>, id: &Option<RequestId>) -> Result<bool, InvalidMessage> {
    let defaults = [
        ("protocolVersion", json!(ProtocolVersion::LATEST_WITH_INITIALIZE)),
        ("capabilities", json!({})),
        ("clientInfo", json!({})),
    ];
    let mut is_changed = false;
    for (name, default) in defaults {
        let member = params.entry(name).or_insert(Value::Null);
        if member.is_null() {
            *member = default;
            is_changed = true;
        }
    }
    if !params["protocolVersion"].is_string() {
        return Err(InvalidMessage::params(id.clone(), "protocolVersion must be text"));
    }
    if !params["capabilities"].is_object() {
        return Err(InvalidMessage::params(id.clone(), "capabilities must be an object"));
    }
    let Some(client) = params.get_mut("clientInfo").and_then(Value::as_object_mut) else {
        return Err(InvalidMessage::params(id.clone(), "clientInfo must be an object"));
    };
    for (name, default) in [("name", "unknown"), ("version", "unknown")] {
        let member = client.entry(name).or_insert(Value::Null);
        if member.is_null() {
            *member = default.into();
            is_changed = true;
        }
        if !member.is_string() {
            return Err(InvalidMessage::params(
                id.clone(),
                format!("clientInfo.{name} must be text"),
            ));
        }
    }
    Ok(is_changed)
}

/// Checks the members of `tools/call`. `null` for the arguments means that there are none.
fn check_tool_call(params: &mut Map<String, Value>, id: &Option<RequestId>) -> Result<bool, InvalidMessage> {
    if !params.get("name").is_some_and(Value::is_string) {
        return Err(InvalidMessage::params(id.clone(), "name must be the name of a tool"));
    }
    match params.get("arguments") {
        None | Some(Value::Object(_)) => Ok(false),
        Some(Value::Null) => Ok(params.remove("arguments").is_some()),
        Some(_) => Err(InvalidMessage::params(id.clone(), "arguments must be an object")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> (Value, bool) {
        let refused = check(body.as_bytes()).unwrap_err();
        let is_malformed = refused.is_malformed;
        (serde_json::to_value(refused.into_response()).unwrap(), is_malformed)
    }

    fn repaired_message(message: &Value) -> Option<Value> {
        let repaired = check(message.to_string().as_bytes()).unwrap().repaired;
        repaired.map(|body| serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn refuses_malformed_messages_with_code_of_json_rpc() {
        for (body, code) in [
            ("{nope", -32700),
            ("", -32700),
            ("[]", -32600),
            (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
            ("7", -32600),
            (r#"{"id":1,"method":"ping"}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, -32600),
            (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
        ] {
            let (answer, is_malformed) = refusal(body);
            assert_eq!((&answer["error"]["code"], is_malformed), (&json!(code), true), "{body}");
        }
    }

    #[test]
    fn refuses_invalid_params_of_known_methods() {
        for (method, params) in [
            ("tools/call", json!({ "name": "comms_ping", "arguments": [] })),
            ("tools/call", json!({ "name": "comms_ping", "arguments": "{}" })),
            ("tools/call", json!({ "arguments": {} })),
            ("logging/setLevel", json!({ "level": "loud" })),
            ("logging/setLevel", json!({})),
            ("resources/read", json!({})),
            ("initialize", json!({ "clientInfo": "me" })),
        ] {
            let body = json!({ "jsonrpc": "2.0", "id": 4, "method": method, "params": params });
            let (answer, is_malformed) = refusal(&body.to_string());
            assert_eq!(
                (&answer["error"]["code"], &answer["id"], is_malformed),
                (&json!(-32602), &json!(4), false),
                "{body}"
            );
        }
    }

    #[test]
    fn completes_introduction_of_lenient_clients() {
        for params in [
            json!(null),
            json!({}),
            json!({ "capabilities": null, "clientInfo": { "name": "a" } }),
        ] {
            let mut message = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize" });
            if !params.is_null() {
                message["params"] = params.clone();
            }
            let repaired = repaired_message(&message).unwrap();
            assert!(repaired["params"]["clientInfo"]["version"].is_string(), "{params}");
            assert!(repaired["params"]["capabilities"].is_object(), "{params}");
        }
    }

    #[test]
    fn leaves_valid_messages_alone() {
        for message in [
            json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }),
            json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }),
            json!({ "jsonrpc": "2.0", "id": 1, "result": {} }),
            json!({ "jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": { "name": "x", "arguments": {} } }),
            json!({ "jsonrpc": "2.0", "id": 1, "method": "unknown/method", "params": {} }),
        ] {
            assert_eq!(repaired_message(&message), None, "{message}");
        }
    }
}
