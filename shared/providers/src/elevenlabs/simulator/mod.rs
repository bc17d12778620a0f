//! ElevenLabs' API: speech and voices (ElevenLabs, API reference).

mod error;

use std::collections::HashMap;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use butt_dial_domain::ports::speech::AudioFormat;
use serde_json::{Map, Value, json};

use self::error::{error_response, invalid};
use super::DEFAULT_VOICE;
use crate::simulator::{self, SimulatorState, audio, faults};

pub const API_KEY: &str = "sk_simulated_key";
/// Allows text to speech only.
pub const SPEAKING_KEY: &str = "sk_simulated_speaking_key";

const ID: &str = "elevenlabs";
const VOICES: [&str; 2] = [DEFAULT_VOICE, "21m00Tcm4TlvDq8ikWAM"];
/// Model id, longest text, and whether the model takes a language code.
const MODELS: [(&str, usize, bool); 3] = [
    ("eleven_flash_v2_5", 40_000, true),
    ("eleven_multilingual_v2", 10_000, false),
    ("eleven_v3", 3_000, false),
];
const FIELDS: [&str; 8] = [
    "text",
    "model_id",
    "voice_settings",
    "language_code",
    "seed",
    "previous_text",
    "next_text",
    "apply_text_normalization",
];

const ERROR_FORMAT: simulator::ErrorFormat = simulator::ErrorFormat {
    vendor: ID,
    render: error::injected,
    rate_limit_code: "too_many_concurrent_requests",
};

pub fn router(simulator: SimulatorState) -> Router {
    let authenticated = middleware::from_fn_with_state(simulator.clone(), authenticate);
    let send = middleware::from_fn_with_state((simulator, ERROR_FORMAT), faults::inject_faults);
    Router::new()
        .route("/v1/text-to-speech/{voice}", post(speak).layer(send))
        .route("/v1/voices/{voice}", get(voice))
        .fallback(|| async { (StatusCode::NOT_FOUND, Json(json!({ "detail": "Not Found" }))) })
        .layer(authenticated)
}

async fn authenticate(State(simulator): State<SimulatorState>, request: Request, next: Next) -> Response {
    let key = request.headers().get("xi-api-key").and_then(|key| key.to_str().ok());
    match key {
        Some(key) if key == simulator.setting(super::API_KEY) => next.run(request).await,
        Some(SPEAKING_KEY) if request.uri().path().starts_with("/v1/text-to-speech/") => next.run(request).await,
        Some(SPEAKING_KEY) => error_response(
            StatusCode::UNAUTHORIZED,
            "missing_permissions",
            "The API key you used is missing the permission voices_read to execute this operation.",
        ),
        _ => error_response(StatusCode::UNAUTHORIZED, "invalid_api_key", "Invalid API key"),
    }
}

fn no_such_voice() -> Response {
    error_response(
        StatusCode::NOT_FOUND,
        "voice_not_found",
        "A voice with that id was not found.",
    )
}

async fn voice(Path(voice): Path<String>) -> Response {
    if VOICES.contains(&voice.as_str()) {
        Json(json!({ "voice_id": voice, "name": "Simulated", "category": "premade" })).into_response()
    } else {
        no_such_voice()
    }
}

async fn speak(
    Path(voice): Path<String>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !VOICES.contains(&voice.as_str()) {
        return no_such_voice();
    }
    let text = match read(&headers, &body) {
        Ok(text) => text,
        Err(error) => return error,
    };
    let length = audio::duration(&text);
    let format = match query.get("output_format").map(String::as_str) {
        None | Some("mp3_44100_128") => AudioFormat::Mp3,
        Some("opus_48000_32") => AudioFormat::Ogg,
        Some("pcm_24000") => {
            return ([(header::CONTENT_TYPE, "audio/pcm")], audio::pcm(length, 24_000)).into_response();
        }
        Some(_) => return invalid("query", "output_format", "enum"),
    };
    (
        [(header::CONTENT_TYPE, format.content_type())],
        audio::file(format, length),
    )
        .into_response()
}

/// Validates the request and returns its text.
#[expect(clippy::result_large_err, reason = "created once per request, as its response")]
fn read(headers: &HeaderMap, body: &[u8]) -> Result<String, Response> {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes());
    let fields = serde_json::from_slice::<Map<String, Value>>(body);
    let (true, Ok(fields)) = (kind.is_some_and(|kind| kind.starts_with(b"application/json")), fields) else {
        return Err(invalid("body", "0", "json_invalid"));
    };
    if let Some(odd) = fields.keys().find(|key| !FIELDS.contains(&key.as_str())) {
        return Err(invalid("body", odd, "extra_forbidden"));
    }
    let text = fields.get("text").and_then(Value::as_str);
    let text = text.ok_or_else(|| invalid("body", "text", "missing"))?;
    let model = fields
        .get("model_id")
        .map_or(Some("eleven_multilingual_v2"), Value::as_str);
    let Some((_, longest, takes_language)) = MODELS.iter().find(|(id, ..)| model == Some(id)) else {
        let text = "A model with that id does not exist.";
        return Err(error_response(StatusCode::BAD_REQUEST, "model_not_found", text));
    };
    if text.trim().is_empty() {
        return Err(invalid("body", "text", "string_too_short"));
    }
    if text.chars().count() > *longest {
        let text = "This request's text exceeds the character limit.";
        return Err(error_response(
            StatusCode::BAD_REQUEST,
            "max_character_limit_exceeded",
            text,
        ));
    }
    match fields.get("language_code") {
        Some(language) if !takes_language || language.as_str().is_none_or(|language| language.len() != 2) => {
            let text = "Model does not support the language.";
            Err(error_response(StatusCode::BAD_REQUEST, "unsupported_language", text))
        }
        _ => Ok(text.to_owned()),
    }
}
