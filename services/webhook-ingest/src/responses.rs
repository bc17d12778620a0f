//! The responses to carriers. An error response has no body: it must not reveal why a webhook was rejected.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use butt_dial_domain::ports::{
    voice::Rendered,
    webhook::{Acknowledgement, VerificationError},
};
use butt_dial_messaging::inbound::WebhookRefusal;
use butt_dial_runtime::http::BodyRejection;

/// Value of `Retry-After` in seconds.
const RETRY_AFTER_SECONDS: u64 = 2;

pub fn acknowledged(acknowledgement: Acknowledgement) -> Response {
    (
        [(header::CONTENT_TYPE, acknowledgement.content_type)],
        acknowledgement.body,
    )
        .into_response()
}

/// Returns the call script in the carrier's format.
pub fn script(script: Rendered) -> Response {
    ([(header::CONTENT_TYPE, script.content_type)], script.body).into_response()
}

pub fn challenge(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain")], text).into_response()
}

pub fn rejected(refusal: WebhookRefusal) -> Response {
    match refusal {
        WebhookRefusal::Unknown => not_found(),
        WebhookRefusal::Untrusted(VerificationError::NoSecret | VerificationError::Unsigned) => {
            StatusCode::UNAUTHORIZED.into_response()
        }
        WebhookRefusal::Untrusted(VerificationError::WrongSignature | VerificationError::Stale) => {
            StatusCode::FORBIDDEN.into_response()
        }
        WebhookRefusal::Unreadable => StatusCode::BAD_REQUEST.into_response(),
        WebhookRefusal::Unavailable => unavailable(),
    }
}

pub fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// Answers a request with a body that was not read.
pub fn unread(rejection: BodyRejection) -> Response {
    match rejection {
        BodyRejection::TooLarge => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        BodyRejection::Interrupted => StatusCode::BAD_REQUEST.into_response(),
        BodyRejection::TimedOut => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

pub fn unavailable() -> Response {
    let retry_after = [(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_SECONDS))];
    (StatusCode::SERVICE_UNAVAILABLE, retry_after).into_response()
}
