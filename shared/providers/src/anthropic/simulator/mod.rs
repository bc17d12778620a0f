//! Anthropic's API: streamed messages and the list of models (Anthropic, Messages API). `simulator::scripted_model`
//! writes the replies.

mod error;
mod validation;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response, sse::Event},
    routing::{get, post},
};
use serde_json::{Value, json};
use uuid::Uuid;

use self::validation::ValidRequest;
use super::wire::KnownModel;
use crate::simulator::{
    ErrorFormat, InjectedFault, SimulatorState, faults,
    models::{self, RequestGuard, StreamedAnswer, with_json},
    scripted_model::{split_pieces, truncate_tokens},
};

pub const API_KEY: &str = "sk-ant-simulated-key";

const ID: &str = "anthropic";
const VERSION: &str = "2023-06-01";
const MODELS: [(&str, &str); 4] = [
    ("claude-haiku-4-5", "Claude Haiku 4.5"),
    ("claude-haiku-4-5-20251001", "Claude Haiku 4.5"),
    ("claude-sonnet-5", "Claude Sonnet 5"),
    ("claude-opus-5", "Claude Opus 5"),
];

const ERROR_FORMAT: ErrorFormat = ErrorFormat {
    vendor: ID,
    render: error::injected,
    rate_limit_code: "rate_limit_error",
};

pub fn router(simulator: SimulatorState) -> Router {
    let authenticated = middleware::from_fn_with_state(simulator.clone(), authenticate);
    let send = middleware::from_fn_with_state((simulator.clone(), ERROR_FORMAT), faults::inject_faults);
    let record = middleware::from_fn_with_state((simulator, ID), models::record_requests);
    Router::new()
        .route("/v1/messages", post(create).layer(send).layer(record))
        .route("/v1/models/{id}", get(model))
        .fallback(|| async { error::error_response(StatusCode::NOT_FOUND, "not_found_error", "Not found") })
        .layer(authenticated)
}

async fn authenticate(State(simulator): State<SimulatorState>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let error_response = |status, kind, text: &str| error::error_response(status, kind, text);
    match (named("x-api-key"), named("anthropic-version")) {
        (None, _) => error_response(
            StatusCode::UNAUTHORIZED,
            "authentication_error",
            "x-api-key header is required",
        ),
        (Some(key), _) if key != simulator.setting(super::API_KEY) => {
            error_response(StatusCode::UNAUTHORIZED, "authentication_error", "invalid x-api-key")
        }
        (_, None) => error::invalid("anthropic-version: header is required"),
        (_, Some(version)) if version != VERSION => {
            error::invalid(&format!("anthropic-version: {version:?} is not a valid version"))
        }
        _ => next.run(request).await,
    }
}

async fn model(Path(id): Path<String>) -> Response {
    match MODELS.iter().find(|(known, _)| *known == id) {
        Some((id, name)) => {
            let known = KnownModel {
                id: (*id).to_owned(),
                display_name: (*name).to_owned(),
            };
            Json(known).into_response()
        }
        None => error::no_such_model(&id),
    }
}

async fn create(
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
    let (text, stop_reason) = match fault {
        Some(InjectedFault::Decline) => (String::new(), "refusal"),
        _ => match truncate_tokens(&request.chat.answer(), request.max_tokens) {
            (text, true) => (text, "max_tokens"),
            (text, false) => (text, "end_turn"),
        },
    };
    if request.stream {
        script(&request, &text, stop_reason).into_response_with(guard, fault.as_ref())
    } else {
        Json(message(&request, Some((&text, stop_reason)))).into_response()
    }
}

/// Renders the message: complete, or without content for `message_start`.
fn message(request: &ValidRequest, reply: Option<(&str, &str)>) -> Value {
    let content: Vec<Value> = reply
        .iter()
        .map(|(text, _)| json!({ "type": "text", "text": text }))
        .collect();
    json!({
        "id": format!("msg_{}", Uuid::new_v4().simple()),
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": content,
        "stop_reason": reply.map(|(_, reason)| reason),
        "stop_sequence": null,
        "usage": {
            "input_tokens": request.tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": reply.map_or(1, |(text, _)| text.split_whitespace().count()),
        },
    })
}

fn script(request: &ValidRequest, text: &str, stop_reason: &str) -> StreamedAnswer {
    let started = json!({ "type": "message_start", "message": message(request, None) });
    let block = json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } });
    let delta = |text: &String| {
        let delta = json!({ "type": "text_delta", "text": text });
        event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
    };
    let stopped = json!({
        "type": "message_delta",
        "delta": { "stop_reason": stop_reason, "stop_sequence": null },
        "usage": { "output_tokens": text.split_whitespace().count() },
    });
    StreamedAnswer {
        opening: vec![event(&started), event(&block), event(&json!({ "type": "ping" }))],
        pieces: split_pieces(text).iter().map(delta).collect(),
        closing: vec![
            event(&json!({ "type": "content_block_stop", "index": 0 })),
            event(&stopped),
            event(&json!({ "type": "message_stop" })),
        ],
        error: |kind| event(&error::body(kind, "Simulated error")),
    }
}

/// Names the event after the type of its data.
fn event(value: &Value) -> Event {
    with_json(
        Event::default().event(value["type"].as_str().unwrap_or_default()),
        value,
    )
}
