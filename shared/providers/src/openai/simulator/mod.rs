//! OpenAI's API: streamed chat completions, speech, and the list of models (OpenAI, API reference).
//! `simulator::scripted_model` writes the replies.

mod error;
mod validation;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response, sse::Event},
    routing::{get, post},
};
use serde_json::{Value, json};
use uuid::Uuid;

use self::validation::ValidRequest;
use crate::simulator::{
    ErrorFormat, InjectedFault, SimulatorState, audio, faults,
    models::{self, RequestGuard, StreamedAnswer, with_json},
    scripted_model::{split_pieces, truncate_tokens},
};

pub const API_KEY: &str = "sk-simulated-key";
pub const MODEL: &str = "gpt-4o-mini";

const ID: &str = "openai";
/// The last one refuses `max_tokens`.
const MODELS: [&str; 5] = [
    MODEL,
    "gpt-4o-mini-tts",
    "tts-1",
    "gpt-4o-mini-transcribe",
    "gpt-5-mini",
];
/// Bytes: more than the largest recording.
const MAX_BODY: usize = 32 * 1024 * 1024;

const ERROR_FORMAT: ErrorFormat = ErrorFormat {
    vendor: ID,
    render: error::injected,
    rate_limit_code: "rate_limit_exceeded",
};

pub fn router(simulator: SimulatorState) -> Router {
    let authenticated = middleware::from_fn_with_state(simulator.clone(), authenticate);
    let send = middleware::from_fn_with_state((simulator.clone(), ERROR_FORMAT), faults::inject_faults);
    let send_recording = send.clone();
    let record = middleware::from_fn_with_state((simulator, ID), models::record_requests);
    Router::new()
        .route("/chat/completions", post(complete).layer(send.clone()).layer(record))
        .route("/audio/speech", post(speak).layer(send))
        .route("/audio/transcriptions", post(transcribe).layer(send_recording))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .route("/models", get(list))
        .fallback(|| async { error::error_response(StatusCode::NOT_FOUND, None, Value::Null, "Invalid URL") })
        .layer(authenticated)
}

async fn authenticate(State(simulator): State<SimulatorState>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok());
    if simulator.accepts(super::API_KEY, given.and_then(|value| value.strip_prefix("Bearer "))) {
        next.run(request).await
    } else {
        let text = "Incorrect API key provided.";
        error::error_response(StatusCode::UNAUTHORIZED, Some("invalid_api_key"), Value::Null, text)
    }
}

async fn list() -> Response {
    let model = |id: &&str| json!({ "id": id, "object": "model", "created": 1_715_367_049, "owned_by": "openai" });
    let models: Vec<Value> = MODELS.iter().map(model).collect();
    Json(json!({ "object": "list", "data": models })).into_response()
}

async fn complete(
    Extension(guard): Extension<RequestGuard>,
    fault: Option<Extension<InjectedFault>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = fault.map(|Extension(fault)| fault);
    let request = match validation::read(&headers, &body) {
        Ok(request) => request,
        Err(error) => return error,
    };
    let (text, reason) = match fault {
        Some(InjectedFault::Decline) => (String::new(), "content_filter"),
        _ => match truncate_tokens(&request.chat.answer(), request.max_tokens) {
            (text, true) => (text, "length"),
            (text, false) => (text, "stop"),
        },
    };
    let id = format!("chatcmpl-{}", Uuid::new_v4().simple());
    if request.stream {
        script(&request, &id, &text, reason).into_response_with(guard, fault.as_ref())
    } else {
        let reply = json!({ "role": "assistant", "content": text, "refusal": null });
        let choice = json!({ "index": 0, "message": reply, "logprobs": null, "finish_reason": reason });
        let answer = json!({ "id": id, "object": "chat.completion", "model": request.model, "choices": [choice] });
        Json(answer).into_response()
    }
}

fn script(request: &ValidRequest, id: &str, text: &str, reason: &str) -> StreamedAnswer {
    let chunk = |delta: Value, reason: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason });
        let chunk = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": 1_715_367_049,
            "model": request.model,
            "choices": [choice],
        });
        with_json(Event::default(), &chunk)
    };
    let first = json!({ "role": "assistant", "content": "", "refusal": null });
    let pieces = split_pieces(text).into_iter();
    StreamedAnswer {
        opening: vec![chunk(first, None)],
        pieces: pieces.map(|text| chunk(json!({ "content": text }), None)).collect(),
        closing: vec![chunk(json!({}), Some(reason)), Event::default().data("[DONE]")],
        error: |code| {
            with_json(
                Event::default(),
                &error::body(Some(code), Value::Null, "Simulated error"),
            )
        },
    }
}

/// Reads the form with the recording, and returns the words in it (`simulator::audio`).
async fn transcribe(headers: HeaderMap, body: Bytes) -> Response {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let boundary = kind.and_then(|kind| kind.strip_prefix("multipart/form-data; boundary="));
    let Some(form) = boundary.and_then(|boundary| validation::recording(boundary, &body)) else {
        return error::invalid("file", None, "Could not parse multipart form");
    };
    if !MODELS.contains(&form.model.as_str()) {
        return error::no_such_model(&form.model);
    }
    match audio::said(&form.file) {
        Some(said) => Json(json!({ "text": said, "usage": { "type": "duration", "seconds": 3 } })).into_response(),
        None => error::invalid("file", None, "Audio file might be corrupted or unsupported"),
    }
}

async fn speak(headers: HeaderMap, body: Bytes) -> Response {
    match validation::speech(&headers, &body) {
        Ok((text, format)) => {
            let length = audio::duration(&text);
            match format {
                Some(format) => (
                    [(header::CONTENT_TYPE, format.content_type())],
                    audio::file(format, length),
                )
                    .into_response(),
                None => ([(header::CONTENT_TYPE, "audio/pcm")], audio::pcm(length, 24_000)).into_response(),
            }
        }
        Err(error) => error,
    }
}
