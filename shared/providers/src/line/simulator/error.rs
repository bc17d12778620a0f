//! Error responses in LINE's format (LINE, Messaging API reference: Error responses).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::line::wire::{Detail, ErrorBody};

pub fn error_response(status: StatusCode, message: &str) -> Response {
    answer(status, message, Vec::new())
}

/// Returns the error for an invalid property of the request.
pub fn invalid(property: &str) -> Response {
    let detail = Detail {
        message: "May not be empty or invalid".to_owned(),
        property: property.to_owned(),
    };
    let message = "The request body has 1 error(s)";
    answer(StatusCode::BAD_REQUEST, message, vec![detail])
}

fn answer(status: StatusCode, message: &str, details: Vec<Detail>) -> Response {
    let message = message.to_owned();
    (status, Json(ErrorBody { message, details })).into_response()
}

/// Returns an injected error. LINE has no codes, so the fault's code is the message.
pub fn injected(status: StatusCode, sentence: Option<&str>) -> Response {
    match sentence {
        Some(sentence) => error_response(status, sentence),
        None => (status, format!("upstream connect error: {status}")).into_response(),
    }
}
