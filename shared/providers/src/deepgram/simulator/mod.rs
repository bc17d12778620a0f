//! Deepgram's API: pre-recorded audio and projects (Deepgram, API reference). A recording says what its bytes say after
//! the header (`simulator::audio`).

use std::collections::HashMap;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Query, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;

use crate::simulator::{ErrorFormat, SimulatorState, audio, faults};

pub const API_KEY: &str = "simulated-deepgram-key";

const ID: &str = "deepgram";
/// Bytes: more than the adapter sends.
const MAX_BODY: usize = 32 * 1024 * 1024;

const ERROR_FORMAT: ErrorFormat = ErrorFormat {
    vendor: ID,
    render: injected,
    rate_limit_code: "TOO_MANY_REQUESTS",
};

pub fn router(simulator: SimulatorState) -> Router {
    let authenticated = middleware::from_fn_with_state(simulator.clone(), authenticate);
    let send = middleware::from_fn_with_state((simulator, ERROR_FORMAT), faults::inject_faults);
    Router::new()
        .route("/v1/listen", post(listen).layer(send))
        .route("/v1/projects", get(projects))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .fallback(|| async { error(StatusCode::NOT_FOUND, "NOT_FOUND") })
        .layer(authenticated)
}

async fn authenticate(State(simulator): State<SimulatorState>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION);
    let given = given.and_then(|value| value.to_str().ok());
    match simulator.accepts(super::API_KEY, given.and_then(|value| value.strip_prefix("Token "))) {
        true => next.run(request).await,
        false => error(StatusCode::UNAUTHORIZED, "INVALID_AUTH"),
    }
}

async fn projects() -> Response {
    Json(json!({ "projects": [{ "project_id": "1", "name": "Simulated" }] })).into_response()
}

async fn listen(Query(query): Query<HashMap<String, String>>, body: Bytes) -> Response {
    let Some(said) = audio::said(&body) else {
        return error(StatusCode::BAD_REQUEST, "Bad Request");
    };
    let mut channel = json!({ "alternatives": [{ "transcript": said, "confidence": 0.98 }] });
    if query.get("detect_language").is_some_and(|detect| detect == "true") {
        channel["detected_language"] = json!("en");
    }
    Json(json!({ "metadata": { "duration": 2.5, "channels": 1 }, "results": { "channels": [channel] } }))
        .into_response()
}

fn error(status: StatusCode, code: &str) -> Response {
    (
        status,
        Json(json!({ "err_code": code, "err_msg": "Simulated error", "request_id": "1" })),
    )
        .into_response()
}

fn injected(status: StatusCode, code: Option<&str>) -> Response {
    match code {
        Some(code) => error(status, code),
        None => (status, format!("upstream connect error: {status}")).into_response(),
    }
}
