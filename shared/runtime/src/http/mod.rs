//! The HTTP edge that all services share: who is calling, how a failure looks, and what is counted for every request.

mod body;
mod edge;
mod proxies;
mod serve;

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use butt_dial_domain::{Code, Failure};
use serde_json::json;

pub use body::{Unread, Whole};
pub use edge::observe;
pub use proxies::Proxies;
pub use serve::{Listening, listen};

/// The token of `Authorization: Bearer <token>`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| token.trim())
        .filter(|token| !token.is_empty())
}

/// The one shape of every refusal over HTTP.
pub fn failure(failure: &Failure) -> Response {
    let status = StatusCode::from_u16(failure.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut body = failure.envelope();
    // The Python client raises RateLimitError, with its retry-after, only for a 429 without a code.
    if failure.code == Code::RateLimited
        && let Some(fields) = body.as_object_mut()
    {
        fields.remove("code");
        fields.insert("reason".into(), json!(failure.code.as_str()));
    }
    let mut response = (status, Json(body)).into_response();
    if let Some(seconds) = failure.retry_after_seconds {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        // No `resource_metadata`: clients that find OAuth metadata ignore the token that they were configured with.
        response.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"butt-dial\""),
        );
    }
    response
}
