//! Error responses in OpenAI's format (OpenAI, Error codes).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

pub fn error_response(status: StatusCode, code: Option<&str>, param: Value, text: &str) -> Response {
    (status, Json(body(code, param, text))).into_response()
}

/// Returns the error object, which is the same in a response and in a stream.
pub fn body(code: Option<&str>, param: Value, text: &str) -> Value {
    json!({ "error": { "message": text, "type": "invalid_request_error", "param": param, "code": code } })
}

/// Returns the error for an invalid parameter of the request.
pub fn invalid(param: &str, code: Option<&str>, text: &str) -> Response {
    error_response(StatusCode::BAD_REQUEST, code, json!(param), text)
}

pub fn no_such_model(id: &str) -> Response {
    let text = format!("The model `{id}` does not exist or you do not have access to it.");
    error_response(StatusCode::NOT_FOUND, Some("model_not_found"), Value::Null, &text)
}

pub fn injected(status: StatusCode, code: Option<&str>) -> Response {
    match code {
        Some(code) => error_response(status, Some(code), Value::Null, "Simulated error"),
        None => (status, format!("upstream connect error: {status}")).into_response(),
    }
}
