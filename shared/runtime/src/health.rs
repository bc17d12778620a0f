//! Liveness, readiness and metrics. Liveness checks only that the process answers; readiness probes the backends that its roles
//! need, as far as their work: a database that accepts writes, streams that accept messages. A process that lacks a backend that
//! its roles can do without is degraded, and ready.
//! Responses never contain the cause of a failed probe: it is logged.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{ConnectInfo, RawQuery, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Version, header},
    response::{IntoResponse, Response},
    routing::get,
};
use butt_dial_domain::Failure;
use butt_dial_identity::token;
use prometheus::{TextEncoder, proto::MetricFamily};
use serde_json::{Value, json};
use url::Host;

use crate::{
    Platform,
    backend::Backend,
    http::bearer,
    installation_proof::{PathOfRequest, Question},
};

/// Time limit of a probe for a request. Orchestrators wait for the response for one second by default.
const PROBE_TIMEOUT: Duration = Duration::from_millis(450);
/// Interval of the probes that log failures, repair streams and set the metrics.
const WATCH_INTERVAL: Duration = Duration::from_secs(10);
/// Time limit of a probe that no request waits for.
pub const WATCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Headers that a proxy adds. A request with one of them does not come from this machine, whatever its peer address is.
const PROXY_HEADERS: [&str; 9] = [
    "forwarded",
    "via",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-ray",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
];
const PROXY_HEADER_PREFIXES: [&str; 2] = ["x-forwarded-", "x-envoy-"];

/// The routes of a process that serves these backends' work.
pub fn router(platform: Platform, needed: &[Backend]) -> Router {
    let state = Health {
        platform,
        needed: needed.into(),
    };
    Router::new()
        .route("/health", get(liveness_or_proof))
        .route("/health/ready", get(readiness))
        .route("/metrics", get(metrics))
        .with_state(state)
}

/// The routes of a process that waits for its backends, or for another process that migrates the database.
pub fn starting_router() -> Router {
    let starting = || Json(json!({ "status": "starting", "version": env!("CARGO_PKG_VERSION") }));
    let unavailable = move || {
        let retry_after = [(header::RETRY_AFTER, HeaderValue::from_static("2"))];
        (StatusCode::SERVICE_UNAVAILABLE, retry_after, starting())
    };
    Router::new()
        .route("/health", get(async move || starting()))
        .fallback(async move || unavailable())
}

/// The routes of the port that serves metrics only.
pub fn metrics_router(platform: Platform) -> Router {
    Router::new()
        .route("/health", get(liveness))
        .route("/metrics", get(metrics_of_own_port))
        .with_state(Health {
            platform,
            needed: Arc::new([]),
        })
}

#[derive(Clone)]
struct Health {
    platform: Platform,
    needed: Arc<[Backend]>,
}

async fn liveness() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

/// Answers a question of `doctor`, besides the liveness: it proves that the public address leads to this installation.
async fn liveness_or_proof(
    State(Health { platform, .. }): State<Health>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Json<Value> {
    let Json(mut answer) = liveness().await;
    let question = query.as_deref().and_then(Question::parse);
    if let Some(question) = question.filter(|question| platform.proof.asked(question)) {
        let path = PathOfRequest::new(
            has_proxy_header(&headers),
            platform.proxies.trusts(peer.ip().to_canonical()),
        );
        answer["path"] = json!(path.as_str());
        answer["proof"] = json!(platform.proof.answer(&question, path));
    }
    Json(answer)
}

async fn readiness(State(Health { platform, needed }): State<Health>) -> Response {
    let checks = check(&platform, PROBE_TIMEOUT).await;
    let stopping = platform.lifecycle.is_stopping();
    let ready = !stopping && checks.iter().all(|(backend, ok)| *ok || !needed.contains(backend));
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let label = if stopping {
        "stopping"
    } else if ready && checks.iter().any(|(_, ok)| !ok) {
        "degraded"
    } else if ready {
        "ready"
    } else {
        "not ready"
    };
    let checks: serde_json::Map<String, Value> = checks
        .into_iter()
        .map(|(backend, ok)| (backend.name().to_owned(), json!(if ok { "ok" } else { "failed" })))
        .collect();
    (status, Json(json!({ "status": label, "checks": checks }))).into_response()
}

/// Probes the backends periodically, for the metrics and the log. The probe of the bus also creates lost streams again.
pub fn watch_backends(platform: &Platform) {
    let watched = platform.clone();
    platform.lifecycle.spawn_periodic(WATCH_INTERVAL, move || {
        let platform = watched.clone();
        async move {
            check(&platform, WATCH_TIMEOUT).await;
        }
    });
}

/// Probes every backend. Logs the cause of each failure.
pub async fn check(platform: &Platform, limit: Duration) -> [(Backend, bool); 3] {
    let backends = platform.backends();
    let (database, bus, kv) = tokio::join!(
        probe(Backend::Database, limit, backends.store.check()),
        probe(Backend::Bus, limit, backends.bus.check()),
        probe(Backend::Kv, limit, backends.kv.check()),
    );
    let checks = [(Backend::Database, database), (Backend::Bus, bus), (Backend::Kv, kv)];
    for (backend, ok) in checks {
        platform.telemetry.backends.observe(backend, ok);
    }
    for copies in backends.bus.stream_copies() {
        platform.telemetry.streams.observe(&copies);
    }
    checks
}

async fn probe<E: std::fmt::Display>(
    backend: Backend,
    limit: Duration,
    check: impl Future<Output = Result<(), E>>,
) -> bool {
    let backend = backend.name();
    match tokio::time::timeout(limit, check).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, backend, "backend not ready");
            false
        }
        Err(_) => {
            tracing::warn!(
                backend,
                timeout_seconds = limit.as_secs_f64(),
                "backend probe timed out"
            );
            false
        }
    }
}

/// Serves the metrics on the port of the API: to this machine, unless the metrics have a port or a token of their own, and to
/// the tokens of the metrics and of the orchestrator.
async fn metrics(
    State(Health { platform, .. }): State<Health>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let config = &platform.config;
    let is_open = config.metrics_port.is_none() && config.metrics_token.is_none();
    let (headers, version) = (request.headers(), request.version());
    if is_open && is_local(peer, headers, version) {
        return render(&platform);
    }
    match authorize(&platform, peer, headers).await {
        Ok(()) => render(&platform),
        Err(failure) => crate::http::failure(&failure),
    }
}

/// Serves the metrics on their own port: without a token, unless one is set.
async fn metrics_of_own_port(
    State(Health { platform, .. }): State<Health>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    if platform.config.metrics_token.is_some()
        && let Err(failure) = authorize(&platform, peer, &headers).await
    {
        return crate::http::failure(&failure);
    }
    render(&platform)
}

/// Reads all metrics of the process.
pub fn gather(platform: &Platform) -> Vec<MetricFamily> {
    let backends = platform.backends();
    platform
        .telemetry
        .observe_pool(backends.store.pool_status(), platform.config.database_max_connections);
    if let Some(replica) = backends.store.replica_status() {
        platform.telemetry.observe_replica(replica);
    }
    if let Some(redis) = &backends.redis {
        platform.telemetry.observe_redis_pool(redis.pool_status());
    }
    platform.telemetry.registry.gather()
}

fn render(platform: &Platform) -> Response {
    match TextEncoder::new().encode_to_string(&gather(platform)) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics encoding failed");
            crate::http::failure(&Failure::internal())
        }
    }
}

/// Returns whether a program on this machine sent the request. A proxy on this machine has the same peer address: it shows by its
/// headers, by the name of the public host, or by HTTP/1.0, which proxies speak by default.
fn is_local(peer: SocketAddr, headers: &HeaderMap, version: Version) -> bool {
    peer.ip().to_canonical().is_loopback()
        && version == Version::HTTP_11
        && names_this_machine(headers)
        && !has_proxy_header(headers)
}

fn has_proxy_header(headers: &HeaderMap) -> bool {
    let is_of_proxy = |name: &str| {
        PROXY_HEADERS.contains(&name) || PROXY_HEADER_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    };
    headers.keys().any(|name| is_of_proxy(name.as_str()))
}

fn names_this_machine(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let Ok(url) = url::Url::parse(&format!("http://{host}")) else {
        return false;
    };
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

async fn authorize(platform: &Platform, peer: SocketAddr, headers: &HeaderMap) -> Result<(), Failure> {
    let bearer = bearer(headers);
    if let (Some(expected), Some(given)) = (&platform.config.metrics_token, &bearer)
        // Hashes differ in unpredictable places, so the time of the comparison reveals no part of the token.
        && token::hash(expected) == token::hash(given)
    {
        return Ok(());
    }
    let address = platform.proxies.client_address(peer.ip(), headers)?;
    let caller = platform.product.guard.authenticate(bearer.as_deref(), address).await?;
    caller.require(butt_dial_domain::Scope::SuperAdmin)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_open(peer: &str, host: &'static str, more: &[(&'static str, &'static str)], version: Version) -> bool {
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
        for (name, value) in more {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        is_local(peer.parse().unwrap(), &headers, version)
    }

    #[test]
    fn recognizes_requests_of_proxies_on_this_machine() {
        let local = "127.0.0.1:5";
        for host in ["127.0.0.1:3100", "localhost", "localhost:3100", "[::1]:3100"] {
            assert!(is_open(local, host, &[], Version::HTTP_11), "{host}");
        }
        assert!(!is_open("10.0.0.1:5", "localhost", &[], Version::HTTP_11));
        assert!(
            !is_open(local, "localhost", &[], Version::HTTP_10),
            "the default of nginx"
        );
        for host in ["public.example", "localhost.evil.example", "10.0.0.1", ""] {
            assert!(!is_open(local, host, &[], Version::HTTP_11), "{host}");
        }
        for name in [
            "forwarded",
            "x-real-ip",
            "cf-connecting-ip",
            "via",
            "x-forwarded-host",
            "x-forwarded-for",
            "x-forwarded-proto",
        ] {
            assert!(!is_open(local, "localhost", &[(name, "x")], Version::HTTP_11), "{name}");
        }
    }
}
