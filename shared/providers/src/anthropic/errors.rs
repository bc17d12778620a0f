//! Maps Anthropic's errors (Anthropic, Errors) by the error type, in a response body or in a stream event. Falls back
//! to the HTTP status for responses of proxies, which name no type.

use butt_dial_domain::ports::model::ModelError;

use super::{
    API_KEY, MODEL,
    wire::{Detail, ErrorBody},
};
use crate::http::{self, Response};

pub fn refused(response: &Response) -> ModelError {
    if let Ok(body) = serde_json::from_slice::<ErrorBody>(&response.body) {
        return stream_error(&body.error, response.retry_after_seconds);
    }
    match response.status.as_u16() {
        401..=403 => configuration("authentication_error"),
        404 => configuration("not_found_error"),
        408 | 504 => ModelError::Stalled,
        429 | 503 | 529 => ModelError::Overloaded {
            retry_after_seconds: response.retry_after_seconds,
        },
        400 | 413 | 422 => ModelError::Refused(response.status.as_str().to_owned()),
        _ => ModelError::Broken,
    }
}

/// Maps an error event. Drops the error's message, because it can quote the conversation.
pub fn stream_error(error: &Detail, retry_after_seconds: Option<u64>) -> ModelError {
    match error.r#type.as_str() {
        "rate_limit_error" | "overloaded_error" => ModelError::Overloaded { retry_after_seconds },
        // Anthropic reports an account without credit with this message.
        "invalid_request_error" if error.message.contains("credit balance is too low") => {
            configuration("billing_error")
        }
        "invalid_request_error" | "request_too_large" => ModelError::Refused(error.r#type.clone()),
        "authentication_error" | "billing_error" | "permission_error" | "not_found_error" => {
            configuration(&error.r#type)
        }
        "timeout_error" => ModelError::Stalled,
        _ => ModelError::Broken,
    }
}

fn configuration(kind: &str) -> ModelError {
    let hint = match kind {
        "billing_error" => "pay for the account at Anthropic".to_owned(),
        "not_found_error" => format!("set {MODEL} to an existing model"),
        _ => format!("set {API_KEY} to a key with access to the model"),
    };
    ModelError::Configuration(format!("{}: {hint}", http::label(kind)))
}
