//! What a carrier reads. Whoever is refused learns nothing but that.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use butt_dial_comms::inbound::WebhookRefusal;
use butt_dial_domain::ports::{
    voice::Rendered,
    webhook::{Acknowledgement, Distrust},
};

/// Seconds after which a carrier may try again.
const RETRY_AFTER: u64 = 2;

pub fn acknowledged(acknowledgement: Acknowledgement) -> Response {
    (
        [(header::CONTENT_TYPE, acknowledgement.content_type)],
        acknowledgement.body,
    )
        .into_response()
}

/// What the carrier is to do with a call.
pub fn script(script: Rendered) -> Response {
    ([(header::CONTENT_TYPE, script.content_type)], script.body).into_response()
}

pub fn challenge(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/plain")], text).into_response()
}

pub fn refused(refusal: WebhookRefusal) -> Response {
    match refusal {
        WebhookRefusal::Unknown => unknown(),
        WebhookRefusal::Untrusted(Distrust::NoSecret | Distrust::Unsigned) => StatusCode::UNAUTHORIZED.into_response(),
        WebhookRefusal::Untrusted(Distrust::WrongSignature | Distrust::Stale) => StatusCode::FORBIDDEN.into_response(),
        WebhookRefusal::Unreadable => StatusCode::BAD_REQUEST.into_response(),
        WebhookRefusal::Unavailable => unavailable(),
    }
}

pub fn unknown() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

pub fn too_large() -> Response {
    StatusCode::PAYLOAD_TOO_LARGE.into_response()
}

pub fn unavailable() -> Response {
    let retry_after = [(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER))];
    (StatusCode::SERVICE_UNAVAILABLE, retry_after).into_response()
}
