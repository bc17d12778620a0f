//! The HTTP edge of all services: bearer tokens, client addresses, error responses, request bodies, request metrics.

mod body;
mod connection;
mod connection_limits;
mod request_body;
mod request_layer;
mod security_headers;
mod serve;
mod trusted_proxies;

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use axum_extra::headers::{Authorization, HeaderMapExt, authorization::Bearer};
use butt_dial_domain::{Code, Failure};
use serde_json::{Value, json};

pub use body::{BodyRejection, FullBody, read_body};
pub use connection_limits::{ConnectionLimits, raise_file_limit};
pub use request_layer::{RequestId, observe};
pub use serve::{HttpListener, Routes, bind};
pub use trusted_proxies::{TrustedProxies, UnreadableClient};

/// Returns the token of `Authorization: Bearer <token>`.
pub fn bearer(headers: &HeaderMap) -> Option<String> {
    let authorization: Authorization<Bearer> = headers.typed_get()?;
    Some(authorization.token().trim().to_owned()).filter(|token| !token.is_empty())
}

/// Builds the body of an error response.
pub fn error_body(failure: &Failure) -> Value {
    let mut body = failure.envelope();
    // The Python client raises RateLimitError, with its retry-after, only for a 429 without `code`.
    if failure.code == Code::RateLimited
        && let Some(fields) = body.as_object_mut()
    {
        fields.remove("code");
        fields.insert("reason".into(), json!(failure.code.as_str()));
    }
    body
}

/// Builds the response of a failure: status, error envelope, `Retry-After` and `WWW-Authenticate`.
pub fn failure(failure: &Failure) -> Response {
    let status = StatusCode::from_u16(failure.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = error_body(failure);
    let mut response = (status, Json(body)).into_response();
    if let Some(seconds) = failure.retry_after_seconds {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED {
        // No `resource_metadata`: a client that finds OAuth metadata ignores its configured token.
        response.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"butt-dial\""),
        );
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_bearer_token_of_any_case() {
        let token = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers)
        };
        for value in ["Bearer abc", "bearer abc", "BEARER  abc"] {
            assert_eq!(token(value).as_deref(), Some("abc"), "{value}");
        }
        for value in ["", "Bearer", "Bearer ", "Basic abc", "abc", "Bearerabc"] {
            assert_eq!(token(value), None, "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
