//! Liveness, readiness and metrics. Liveness says only that the process answers; readiness asks every backend.

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

/// A backend that takes longer is not ready.
const DEADLINE: Duration = Duration::from_secs(2);

pub fn router(platform: Platform) -> Router {
    Router::new()
        .route("/health", get(alive))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(platform))
}

async fn alive() -> Json<Value> {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") }))
}

async fn ready(State(platform): State<Arc<Platform>>) -> Response {
    let checks = check(&platform).await;
    let stopping = platform.lifecycle.is_stopping();
    let ready = !stopping && checks.iter().all(|(_, ok)| *ok);
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = if stopping {
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
    (status, Json(json!({ "status": word, "checks": checks }))).into_response()
}

/// Asks every backend; a failure is logged with its cause, which is nobody's business outside.
pub async fn check(platform: &Platform) -> [(&'static str, bool); 3] {
    let comms = &platform.comms;
    let (database, bus, kv) = tokio::join!(
        answers("database", comms.store.check()),
        answers("bus", comms.bus.check()),
        answers("kv", comms.kv.check()),
    );
    [("database", database), ("bus", bus), ("kv", kv)]
}

async fn answers<E: std::fmt::Display>(name: &str, check: impl Future<Output = Result<(), E>>) -> bool {
    match tokio::time::timeout(DEADLINE, check).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%error, backend = name, "not ready");
            false
        }
        Err(_) => {
            tracing::warn!(backend = name, "not ready: no answer in time");
            false
        }
    }
}

/// Open to this machine itself; from elsewhere it takes the orchestrator's token.
async fn metrics(
    State(platform): State<Arc<Platform>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
) -> Response {
    let local = peer.ip().to_canonical().is_loopback() && !headers.contains_key("x-forwarded-for");
    if !local && let Err(failure) = orchestrator(&platform, peer, &headers).await {
        return crate::http::failure(&failure);
    }
    platform.telemetry.observe_pool(platform.comms.store.pool_size());
    match TextEncoder::new().encode_to_string(&platform.telemetry.registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics can't be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn orchestrator(
    platform: &Platform,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> Result<(), butt_dial_domain::Failure> {
    let peer = platform.proxies.client(peer.ip(), headers);
    let caller = platform.guard.authenticate(bearer(headers), peer).await?;
    caller.require(butt_dial_domain::Scope::SuperAdmin)
}
