//! Request checks of the Messages API (Anthropic, Messages API), as strict as the newest models.

use axum::{
    http::{HeaderMap, header},
    response::Response,
};
use serde_json::{Map, Value};

use super::{MODELS, error};
use crate::simulator::scripted_model::{ChatMessage, ChatRequest};

pub struct ValidRequest {
    pub model: String,
    pub max_tokens: u64,
    pub stream: bool,
    pub chat: ChatRequest,
    /// An estimate.
    pub tokens: usize,
}

const FIELDS: [&str; 12] = [
    "model",
    "max_tokens",
    "messages",
    "system",
    "stream",
    "stop_sequences",
    "tools",
    "tool_choice",
    "metadata",
    "service_tier",
    "output_config",
    "thinking",
];
/// Models after Claude Opus 4.6 refuse these fields.
const REMOVED_FIELDS: [&str; 3] = ["temperature", "top_p", "top_k"];

#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<ValidRequest, Response> {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    if !kind.is_some_and(|kind| kind.starts_with(b"application/json")) {
        return Err(error::invalid("content-type: must be application/json"));
    }
    let Ok(fields) = serde_json::from_slice::<Map<String, Value>>(body) else {
        return Err(error::invalid("The request body is not valid JSON"));
    };
    let request = check(&fields).map_err(|text| error::invalid(&text))?;
    if !MODELS.iter().any(|(known, _)| *known == request.model) {
        return Err(error::no_such_model(&request.model));
    }
    Ok(request)
}

fn check(fields: &Map<String, Value>) -> Result<ValidRequest, String> {
    if let Some(removed) = REMOVED_FIELDS.iter().find(|removed| fields.contains_key(**removed)) {
        return Err(format!("`{removed}` is deprecated for this model."));
    }
    if let Some(unknown) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(format!("{unknown}: Extra inputs are not permitted"));
    }
    let model = fields.get("model").ok_or("model: Field required")?;
    let model = model.as_str().ok_or("model: Input should be a valid string")?;
    let max_tokens = fields.get("max_tokens").ok_or("max_tokens: Field required")?;
    let max_tokens = max_tokens.as_u64().filter(|max| *max >= 1);
    let max_tokens = max_tokens.ok_or("max_tokens: must be greater than or equal to 1")?;
    let stream = match fields.get("stream") {
        None => false,
        Some(stream) => stream.as_bool().ok_or("stream: Input should be a valid boolean")?,
    };
    let system = match fields.get("system") {
        None => String::new(),
        Some(system) => text(system).ok_or("system: text content blocks must be non-empty")?,
    };
    let messages = fields.get("messages").ok_or("messages: Field required")?;
    let messages = messages.as_array().ok_or("messages: Input should be a valid list")?;
    let turns = messages
        .iter()
        .enumerate()
        .map(read_turn)
        .collect::<Result<Vec<_>, _>>()?;
    match (turns.first(), turns.last()) {
        (None, _) | (_, None) => Err("messages: at least one message is required".to_owned()),
        (Some(first), _) if first.from_model => Err("messages: first message must use the \"user\" role".to_owned()),
        (_, Some(last)) if last.from_model && last.text.ends_with(char::is_whitespace) => {
            Err("messages: final assistant content cannot end with trailing whitespace".to_owned())
        }
        _ => {
            let words = |text: &str| text.split_whitespace().count();
            Ok(ValidRequest {
                model: model.to_owned(),
                max_tokens,
                stream,
                tokens: words(&system) + turns.iter().map(|turn| words(&turn.text)).sum::<usize>(),
                chat: ChatRequest { system, turns },
            })
        }
    }
}

fn read_turn((place, message): (usize, &Value)) -> Result<ChatMessage, String> {
    let from_model = match message["role"].as_str() {
        Some("user") => false,
        Some("assistant") => true,
        _ => return Err(format!("messages.{place}.role: Input should be 'user' or 'assistant'")),
    };
    let text = text(&message["content"]);
    let text = text.ok_or_else(|| format!("messages.{place}: text content blocks must be non-empty"))?;
    Ok(ChatMessage { from_model, text })
}

/// Returns the text of a string or of text blocks.
fn text(content: &Value) -> Option<String> {
    match content {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Array(blocks) if !blocks.is_empty() => blocks.iter().map(block).collect(),
        _ => None,
    }
}

fn block(block: &Value) -> Option<&str> {
    let cached = &block["cache_control"];
    let is_text = block["type"] == "text" && (cached.is_null() || cached["type"] == "ephemeral");
    block["text"].as_str().filter(|text| is_text && !text.trim().is_empty())
}
