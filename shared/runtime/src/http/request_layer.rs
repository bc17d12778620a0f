//! The outermost layer of every request: a request id, a span within the sender's trace, a metric, a log line for each server
//! error, and the security headers. `tower-http`'s request-id and trace layers are not used: they accept the client's own id, and they wrap every
//! response body in two more types.

use std::{sync::Arc, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue},
    middleware::Next,
    response::Response,
};
use tracing::{Instrument, Span, field::Empty};

use super::security_headers;
use crate::telemetry::{Telemetry, trace};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The id of a request, in its extensions.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// Routes of health checks and scrapes, which are not traffic.
const PROBES: [&str; 3] = ["/health", "/health/ready", "/metrics"];

/// Returns the pattern of a route that is also served with a trailing slash.
fn without_slash(route: &str) -> &str {
    route
        .strip_suffix('/')
        .filter(|route| !route.is_empty())
        .unwrap_or(route)
}

/// Observes one request. For `axum::middleware::from_fn_with_state`.
pub async fn observe(State(telemetry): State<Arc<Telemetry>>, mut request: Request, next: Next) -> Response {
    // The route pattern, not the path: paths contain ids, and metric labels must be bounded.
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", |path| without_slash(path.as_str()))
        .to_owned();
    let method = request.method().as_str().to_owned();
    let id = butt_dial_domain::ids::unique();
    let is_probe = PROBES.contains(&route.as_str());
    // The names are those of OpenTelemetry's semantic conventions. The auth layer adds the caller.
    let span = match is_probe {
        true => Span::none(),
        false => tracing::info_span!(
            "http",
            otel.name = %format_args!("{method} {route}"),
            otel.kind = "server",
            request = %id,
            http.request.method = %method,
            http.route = %route,
            agent = Empty,
            org = Empty,
        ),
    };
    trace::set_remote_parent(&span, |name| request.headers().get(name)?.to_str().ok());
    let in_flight = (!is_probe).then(|| telemetry.http.track_request());
    let started = Instant::now();
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).instrument(span.clone()).await;
    let status = response.status();
    trace::set_status(&span, status);
    drop(in_flight);
    if !is_probe {
        telemetry.http.observe(&method, &route, &status, started.elapsed());
    }
    if status.is_server_error() {
        span.in_scope(|| tracing::warn!(status = status.as_u16(), "request failed"));
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    security_headers::add(response.headers_mut());
    response
}
