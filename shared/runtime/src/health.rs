//! Liveness, readiness and metrics. Liveness checks only that the process answers; readiness probes every backend.
//! Responses never contain the cause of a failed probe: it is logged.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::TextEncoder;
use serde_json::{Value, json};

use crate::{Platform, http::bearer};

/// Time limit of one probe. A slower backend counts as not ready.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

pub fn router(platform: Platform) -> Router {
    Router::new()
        .route("/health", get(liveness))
        .route("/health/ready", get(readiness))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(platform))
}

async fn liveness() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

async fn readiness(State(platform): State<Arc<Platform>>) -> Response {
    let checks = check(&platform).await;
    let stopping = platform.lifecycle.is_stopping();
    let ready = !stopping && checks.iter().all(|(_, ok)| *ok);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let label = if stopping {
        "stopping"
    } else if ready {
        "ready"
    } else {
        "not ready"
    };
    let checks: serde_json::Map<String, Value> = checks
        .into_iter()
        .map(|(name, ok)| (name.to_owned(), json!(if ok { "ok" } else { "failed" })))
        .collect();
    (status, Json(json!({ "status": label, "checks": checks }))).into_response()
}

/// Probes every backend. Logs the cause of each failure.
pub async fn check(platform: &Platform) -> [(&'static str, bool); 3] {
    let backends = platform.backends();
    let (database, bus, kv) = tokio::join!(
        probe("database", backends.store.check()),
        probe("bus", backends.bus.check()),
        probe("kv", backends.kv.check()),
    );
    [("database", database), ("bus", bus), ("kv", kv)]
}

async fn probe<E: std::fmt::Display>(backend: &str, check: impl Future<Output = Result<(), E>>) -> bool {
    match tokio::time::timeout(PROBE_TIMEOUT, check).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, backend, "backend not ready");
            false
        }
        Err(_) => {
            tracing::warn!(
                backend,
                timeout_seconds = PROBE_TIMEOUT.as_secs(),
                "backend probe timed out"
            );
            false
        }
    }
}

/// Serves the metrics to this machine, and to other machines with the orchestrator's token.
async fn metrics(
    State(platform): State<Arc<Platform>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let local = peer.ip().to_canonical().is_loopback() && !headers.contains_key("x-forwarded-for");
    if !local && let Err(failure) = authorize_orchestrator(&platform, peer, &headers).await {
        return crate::http::failure(&failure);
    }
    let backends = platform.backends();
    platform.telemetry.observe_pool(backends.store.pool_size());
    if let Some(redis) = &backends.redis {
        platform.telemetry.observe_redis_pool(redis.pool_status());
    }
    match TextEncoder::new().encode_to_string(&platform.telemetry.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics encoding failed");
            crate::http::failure(&butt_dial_domain::Failure::internal())
        }
    }
}

async fn authorize_orchestrator(
    platform: &Platform,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> Result<(), butt_dial_domain::Failure> {
    let address = platform.proxies.client_address(peer.ip(), headers);
    let token = bearer(headers);
    let caller = platform.product.guard.authenticate(token.as_deref(), address).await?;
    caller.require(butt_dial_domain::Scope::SuperAdmin)
}
