//! LINE's errors as it words them (LINE, Messaging API reference: Error responses).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};

use crate::line::wire::{Detail, ErrorBody};

pub fn error_response(status: StatusCode, message: &str) -> Response {
    answer(status, message, Vec::new())
}

/// A property of the request is not what it has to be.
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

/// LINE has no codes: the text of the order is its sentence.
pub fn injected(status: StatusCode, sentence: Option<&str>) -> Response {
    match sentence {
        Some(sentence) => error_response(status, sentence),
        None => (status, format!("upstream connect error: {status}")).into_response(),
    }
}
