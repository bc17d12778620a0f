//! Anthropic's side of the wire: messages that are streamed, and the list of models (Anthropic, Messages API).
//! The mind behind it is `simulator::answering`.

mod error;
mod intake;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{Path, Request},
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response, sse::Event},
    routing::{get, post},
};
use serde_json::{Value, json};
use uuid::Uuid;

use self::intake::Asked;
use super::wire::Known;
use crate::simulator::{
    Misbehaviour, Voice, World,
    answering::{cut, pieces},
    misbehaviour,
    models::{self, Record, Script, data},
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

const VOICE: Voice = Voice {
    vendor: ID,
    error: error::any,
    too_fast: "rate_limit_error",
};

pub fn router(world: World) -> Router {
    let send = middleware::from_fn_with_state((world.clone(), VOICE), misbehaviour::around_a_send);
    let record = middleware::from_fn_with_state((world, ID), models::around_a_request);
    Router::new()
        .route("/v1/messages", post(create).layer(send).layer(record))
        .route("/v1/models/{id}", get(model))
        .fallback(|| async { error::complain(StatusCode::NOT_FOUND, "not_found_error", "Not found") })
        .layer(middleware::from_fn(authenticate))
}

async fn authenticate(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let named = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let complain = |status, kind, text: &str| error::complain(status, kind, text);
    match (named("x-api-key"), named("anthropic-version")) {
        (None, _) => complain(
            StatusCode::UNAUTHORIZED,
            "authentication_error",
            "x-api-key header is required",
        ),
        (Some(key), _) if key != API_KEY => {
            complain(StatusCode::UNAUTHORIZED, "authentication_error", "invalid x-api-key")
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
            let known = Known {
                id: (*id).to_owned(),
                display_name: (*name).to_owned(),
            };
            Json(known).into_response()
        }
        None => error::no_such_model(&id),
    }
}

async fn create(
    Extension(record): Extension<Record>,
    fault: Option<Extension<Misbehaviour>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let fault = fault.map(|Extension(fault)| fault);
    let asked = match intake::read(&headers, &body) {
        Ok(asked) => asked,
        Err(complaint) => return complaint,
    };
    let (text, stop_reason) = match fault {
        Some(Misbehaviour::Decline) => (String::new(), "refusal"),
        _ => match cut(&asked.conversation.answer(), asked.max_tokens) {
            (text, true) => (text, "max_tokens"),
            (text, false) => (text, "end_turn"),
        },
    };
    if asked.stream {
        script(&asked, &text, stop_reason).play(record, fault.as_ref())
    } else {
        Json(message(&asked, Some((&text, stop_reason)))).into_response()
    }
}

/// The message, whole or as it begins.
fn message(asked: &Asked, said: Option<(&str, &str)>) -> Value {
    let content: Vec<Value> = said
        .iter()
        .map(|(text, _)| json!({ "type": "text", "text": text }))
        .collect();
    json!({
        "id": format!("msg_{}", Uuid::new_v4().simple()),
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": content,
        "stop_reason": said.map(|(_, reason)| reason),
        "stop_sequence": null,
        "usage": {
            "input_tokens": asked.tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": said.map_or(1, |(text, _)| text.split_whitespace().count()),
        },
    })
}

fn script(asked: &Asked, text: &str, stop_reason: &str) -> Script {
    let started = json!({ "type": "message_start", "message": message(asked, None) });
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
    Script {
        opening: vec![event(&started), event(&block), event(&json!({ "type": "ping" }))],
        pieces: pieces(text).iter().map(delta).collect(),
        closing: vec![
            event(&json!({ "type": "content_block_stop", "index": 0 })),
            event(&stopped),
            event(&json!({ "type": "message_stop" })),
        ],
        error: |kind| event(&error::body(kind, "Simulated error")),
    }
}

/// Named as its data is.
fn event(value: &Value) -> Event {
    data(
        Event::default().event(value["type"].as_str().unwrap_or_default()),
        value,
    )
}
