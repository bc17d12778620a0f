//! Error responses in ElevenLabs' format (ElevenLabs, Errors).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

pub fn error_response(status: StatusCode, code: &str, text: &str) -> Response {
    (status, Json(json!({ "detail": { "status": code, "message": text } }))).into_response()
}

/// Returns an error of the request validator.
pub fn invalid(place: &str, field: &str, kind: &str) -> Response {
    let detail = json!([{ "type": kind, "loc": [place, field], "msg": "Invalid" }]);
    (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "detail": detail }))).into_response()
}

pub fn injected(status: StatusCode, code: Option<&str>) -> Response {
    match code {
        Some(code) => error_response(status, code, "Simulated error"),
        None => (status, format!("upstream connect error: {status}")).into_response(),
    }
}
