//! Error responses in Anthropic's format (Anthropic, Errors).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use uuid::Uuid;

pub fn error_response(status: StatusCode, kind: &str, message: &str) -> Response {
    let id = format!("req_{}", Uuid::new_v4().simple());
    let mut body = body(kind, message);
    body["request_id"] = json!(id);
    (status, [("request-id", id)], Json(body)).into_response()
}

/// Returns the error object, which is the same in a response and in a stream event.
pub fn body(kind: &str, message: &str) -> Value {
    json!({ "type": "error", "error": { "type": kind, "message": message } })
}

pub fn invalid(message: &str) -> Response {
    error_response(StatusCode::BAD_REQUEST, "invalid_request_error", message)
}

pub fn no_such_model(id: &str) -> Response {
    error_response(StatusCode::NOT_FOUND, "not_found_error", &format!("model: {id}"))
}

pub fn injected(status: StatusCode, kind: Option<&str>) -> Response {
    match kind {
        Some(kind) => error_response(status, kind, "Simulated error"),
        None => (status, format!("upstream connect error: {status}")).into_response(),
    }
}
