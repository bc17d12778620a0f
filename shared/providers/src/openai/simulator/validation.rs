//! Request checks (OpenAI, API reference: Chat; Create speech), as strict as the newest models.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use butt_dial_domain::ports::speech::AudioFormat;
use serde_json::{Map, Value};

use super::{MODELS, error};
use crate::simulator::scripted_model::{ChatMessage, ChatRequest};

pub struct ValidRequest {
    pub model: String,
    pub max_tokens: u64,
    pub stream: bool,
    pub chat: ChatRequest,
}

const CHAT: [&str; 8] = [
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "tools",
    "stop",
];
const SPEECH: [&str; 7] = [
    "model",
    "input",
    "voice",
    "instructions",
    "response_format",
    "speed",
    "stream_format",
];
/// Reasoning models refuse these fields.
const REMOVED_FIELDS: [&str; 2] = ["temperature", "top_p"];
const VOICES: [&str; 13] = [
    "alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar",
];
const MAX_INPUT_CHARS: usize = 4_096;

type Fields = Map<String, Value>;

#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
fn fields(headers: &HeaderMap, body: &[u8], known: &[&str]) -> Result<Fields, Response> {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    let fields = serde_json::from_slice::<Fields>(body);
    let (true, Ok(fields)) = (kind.is_some_and(|kind| kind.starts_with(b"application/json")), fields) else {
        let text = "We could not parse the JSON body of your request.";
        return Err(error::error_response(StatusCode::BAD_REQUEST, None, Value::Null, text));
    };
    if let Some(removed) = REMOVED_FIELDS.iter().find(|removed| fields.contains_key(**removed)) {
        let text = format!("Unsupported value: '{removed}' does not support this value with this model.");
        return Err(error::invalid(removed, Some("unsupported_value"), &text));
    }
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(error::invalid(
            unknown,
            None,
            &format!("Unrecognized request argument supplied: {unknown}"),
        )),
        None => Ok(fields),
    }
}

#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
fn text<'a>(fields: &'a Fields, key: &str) -> Result<&'a str, Response> {
    let text = fields.get(key).and_then(Value::as_str);
    text.ok_or_else(|| error::invalid(key, None, &format!("Missing required parameter: '{key}'.")))
}

#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
fn model(fields: &Fields) -> Result<&str, Response> {
    let model = text(fields, "model")?;
    MODELS
        .contains(&model)
        .then_some(model)
        .ok_or_else(|| error::no_such_model(model))
}

#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
pub fn read(headers: &HeaderMap, body: &[u8]) -> Result<ValidRequest, Response> {
    let fields = fields(headers, body, &CHAT)?;
    let model = model(&fields)?;
    let (old, new) = (fields.get("max_tokens"), fields.get("max_completion_tokens"));
    if old.is_some() && (new.is_some() || model.starts_with("gpt-5")) {
        let text = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.";
        return Err(error::invalid("max_tokens", Some("unsupported_parameter"), text));
    }
    let max = match old.or(new) {
        None => u64::MAX,
        Some(max) => max
            .as_u64()
            .filter(|max| *max >= 1)
            .ok_or_else(|| error::invalid("max_tokens", None, "Expected a value >= 1."))?,
    };
    let messages = fields.get("messages").and_then(Value::as_array);
    let messages = messages.filter(|messages| !messages.is_empty());
    let messages = messages.ok_or_else(|| error::invalid("messages", None, "Expected a non-empty array."))?;
    let mut chat = ChatRequest {
        system: String::new(),
        turns: Vec::new(),
    };
    for message in messages {
        let from_model = message["role"] == "assistant";
        match (message["role"].as_str(), message["content"].as_str()) {
            (Some("system" | "developer"), Some(text)) => chat.system.push_str(text),
            (Some("user" | "assistant"), Some(text)) => chat.turns.push(ChatMessage {
                from_model,
                text: text.to_owned(),
            }),
            _ => return Err(error::invalid("messages", None, "Invalid value.")),
        }
    }
    Ok(ValidRequest {
        model: model.to_owned(),
        max_tokens: max,
        stream: fields.get("stream") == Some(&Value::Bool(true)),
        chat,
    })
}

/// Validates a speech request. Returns the text and the file format; `None` for raw samples.
#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
pub fn speech(headers: &HeaderMap, body: &[u8]) -> Result<(String, Option<AudioFormat>), Response> {
    let fields = fields(headers, body, &SPEECH)?;
    model(&fields)?;
    if !VOICES.contains(&text(&fields, "voice")?) {
        // OpenAI reports this error without a parameter name.
        let text = "[{'type': 'enum', 'loc': ('body', 'voice'), 'msg': 'Input should be one of the voices'}]";
        return Err(error::error_response(StatusCode::BAD_REQUEST, None, Value::Null, text));
    }
    let input = text(&fields, "input")?;
    if !(1..=MAX_INPUT_CHARS).contains(&input.chars().count()) {
        return Err(error::invalid("input", Some("string_too_long"), "Invalid 'input'."));
    }
    let format = match fields.get("response_format").map(|format| format.as_str()) {
        None | Some(Some("mp3")) => Some(AudioFormat::Mp3),
        Some(Some("opus")) => Some(AudioFormat::Ogg),
        Some(Some("wav")) => Some(AudioFormat::Wav),
        Some(Some("pcm")) => None,
        Some(_) => return Err(error::invalid("response_format", None, "Invalid value.")),
    };
    Ok((input.to_owned(), format))
}

/// A form with a recording.
pub struct RecordingForm {
    pub model: String,
    pub file: Vec<u8>,
}

/// Splits a form with a file (RFC 7578).
pub fn recording(boundary: &str, body: &[u8]) -> Option<RecordingForm> {
    let (mut model, mut file) = (None, None);
    let marker = format!("--{boundary}");
    let mut rest = body.strip_prefix(marker.as_bytes())?;
    let delimiter = format!("\r\n--{boundary}");
    while let Some(part) = rest.strip_prefix(b"\r\n") {
        let end = find(part, delimiter.as_bytes())?;
        let head = find(part, b"\r\n\r\n")?;
        let (head, content) = (std::str::from_utf8(&part[..head]).ok()?, part.get(head + 4..end)?);
        if head.contains("name=\"file\"") && head.contains("filename=\"voice.") {
            file = Some(content.to_vec());
        } else if head.contains("name=\"model\"") {
            model = Some(String::from_utf8(content.to_vec()).ok()?);
        }
        rest = &part[end + delimiter.len()..];
    }
    Some(RecordingForm {
        model: model?,
        file: file?,
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
