//! Around every request: a request id, a span that continues the caller's trace, a metric, and one log line for faults.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tracing::Instrument;

use crate::telemetry::{Telemetry, trace};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A layer for `axum::middleware::from_fn_with_state`.
pub async fn observe(State(telemetry): State<Telemetry>, request: Request, next: Next) -> Response {
    // The route's pattern, never the path: paths hold ids, and labels must be few.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let method = request.method().as_str().to_owned();
    let id = butt_dial_domain::ids::unique();
    let span = tracing::info_span!("http", request = %id, http.method = %method, http.route = %route, http.status = tracing::field::Empty);
    trace::continue_from(&span, |name| request.headers().get(name)?.to_str().ok());
    let begun = Instant::now();
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    span.record("http.status", status.as_u16());
    telemetry
        .http
        .observe(&method, &route, status.as_u16(), begun.elapsed());
    if status.is_server_error() {
        span.in_scope(|| tracing::warn!(status = status.as_u16(), "answered with a server error"));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}
