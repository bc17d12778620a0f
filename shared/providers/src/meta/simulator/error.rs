//! Error responses in Meta's format (WhatsApp Cloud API, Error codes).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::meta::wire::{Error, ErrorBody};

pub fn error_response(status: StatusCode, code: u32, message: &str) -> Response {
    let error = Error {
        code,
        message: format!("(#{code}) {message}"),
        kind: "OAuthException".to_owned(),
        fbtrace_id: "simulated".to_owned(),
    };
    (status, Json(ErrorBody { error })).into_response()
}

pub fn not_found() -> Response {
    error_response(
        StatusCode::BAD_REQUEST,
        100,
        "Unsupported request: the object does not exist",
    )
}

/// Returns an injected error. Without a numeric code, it is the plain-text error of a proxy.
pub fn injected(status: StatusCode, code: Option<&str>) -> Response {
    match code.and_then(|code| code.parse().ok()) {
        Some(code) => error_response(status, code, "Simulated error"),
        None => (status, format!("upstream connect error: {status}")).into_response(),
    }
}
