//! OpenAI's side of the wire: streamed chat completions, speech, and the list of models (OpenAI, API reference).
//! The mind behind it is `simulator::answering`.

mod error;
mod intake;

use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response, sse::Event},
    routing::{get, post},
};
use serde_json::{Value, json};
use uuid::Uuid;

use self::intake::Asked;
use crate::simulator::{
    Misbehaviour, Voice, World,
    answering::{cut, pieces},
    misbehaviour,
    models::{self, Record, Script, data},
    sound,
};

pub const API_KEY: &str = "sk-simulated-key";
pub const MODEL: &str = "gpt-4o-mini";

const ID: &str = "openai";
/// The last one refuses `max_tokens`.
const MODELS: [&str; 4] = [MODEL, "gpt-4o-mini-tts", "tts-1", "gpt-5-mini"];

const VOICE: Voice = Voice {
    vendor: ID,
    error: error::any,
    too_fast: "rate_limit_exceeded",
};

pub fn router(world: World) -> Router {
    let send = middleware::from_fn_with_state((world.clone(), VOICE), misbehaviour::around_a_send);
    let record = middleware::from_fn_with_state((world, ID), models::around_a_request);
    Router::new()
        .route("/chat/completions", post(complete).layer(send.clone()).layer(record))
        .route("/audio/speech", post(speak).layer(send))
        .route("/models", get(list))
        .fallback(|| async { error::complain(StatusCode::NOT_FOUND, None, Value::Null, "Invalid URL") })
        .layer(middleware::from_fn(authenticate))
}

async fn authenticate(request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok());
    if given.and_then(|value| value.strip_prefix("Bearer ")) == Some(API_KEY) {
        next.run(request).await
    } else {
        let text = "Incorrect API key provided.";
        error::complain(StatusCode::UNAUTHORIZED, Some("invalid_api_key"), Value::Null, text)
    }
}

async fn list() -> Response {
    let model = |id: &&str| json!({ "id": id, "object": "model", "created": 1_715_367_049, "owned_by": "openai" });
    let models: Vec<Value> = MODELS.iter().map(model).collect();
    Json(json!({ "object": "list", "data": models })).into_response()
}

async fn complete(
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
    let (text, reason) = match fault {
        Some(Misbehaviour::Decline) => (String::new(), "content_filter"),
        _ => match cut(&asked.conversation.answer(), asked.max_tokens) {
            (text, true) => (text, "length"),
            (text, false) => (text, "stop"),
        },
    };
    let id = format!("chatcmpl-{}", Uuid::new_v4().simple());
    if asked.stream {
        script(&asked, &id, &text, reason).play(record, fault.as_ref())
    } else {
        let said = json!({ "role": "assistant", "content": text, "refusal": null });
        let choice = json!({ "index": 0, "message": said, "logprobs": null, "finish_reason": reason });
        let answer = json!({ "id": id, "object": "chat.completion", "model": asked.model, "choices": [choice] });
        Json(answer).into_response()
    }
}

fn script(asked: &Asked, id: &str, text: &str, reason: &str) -> Script {
    let chunk = |delta: Value, reason: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason });
        let chunk = json!({
            "id": id,
            "object": "chat.completion.chunk",
            "created": 1_715_367_049,
            "model": asked.model,
            "choices": [choice],
        });
        data(Event::default(), &chunk)
    };
    let first = json!({ "role": "assistant", "content": "", "refusal": null });
    let pieces = pieces(text).into_iter();
    Script {
        opening: vec![chunk(first, None)],
        pieces: pieces.map(|text| chunk(json!({ "content": text }), None)).collect(),
        closing: vec![chunk(json!({}), Some(reason)), Event::default().data("[DONE]")],
        error: |code| {
            data(
                Event::default(),
                &error::body(Some(code), Value::Null, "Simulated error"),
            )
        },
    }
}

async fn speak(headers: HeaderMap, body: Bytes) -> Response {
    match intake::speech(&headers, &body) {
        Ok((text, format)) => {
            let length = sound::length(&text);
            match format {
                Some(format) => (
                    [(header::CONTENT_TYPE, format.content_type())],
                    sound::file(format, length),
                )
                    .into_response(),
                None => ([(header::CONTENT_TYPE, "audio/pcm")], sound::pcm(length, 24_000)).into_response(),
            }
        }
        Err(complaint) => complaint,
    }
}
