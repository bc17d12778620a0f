//! MCP on many replicas: a session lives nowhere. Every request runs on the replica that it reaches, records of sessions
//! stand in the key-value store, and only open sockets belong to a replica; those are reached over the bus.
//!
//! Three transports on one tier: `/mcp` (all revisions), `/mcp-legacy` (up to 2025-11-25, for clients that would otherwise
//! lose sampling), `/sse` with `/messages` (2024-11-05).

mod attend;
mod audience;
mod call_events;
mod connection;
mod deliver;
mod edge;
mod events;
mod exchange;
mod handler;
mod inbox;
mod manager;
mod orders;
mod push_stream;
mod requests;
mod resources;
mod returns;
mod sampling;
mod sessions;
mod sse;
mod streams;
mod tools;
mod watch;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{any_service, get, post},
};
use butt_dial_runtime::{Platform, platform::StartError};
use rmcp::{
    model::ProtocolVersion,
    transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService},
};

use crate::auth::Door;
use audience::Audiences;
use edge::{Edge, StreamableEdge};
use handler::Handler;
use manager::{DeleteHook, Manager};
use sessions::Sessions;
use streams::Streams;

/// Comments that keep proxies and clients from giving an idle stream up; the Python client waits 300 s.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// 4 MiB: an e-mail with a long text fits, an attack does not.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// What the transports share.
#[derive(Clone)]
pub struct Tier {
    /// For revisions that begin with a handshake.
    pub legacy: Handler,
    pub sessions: Sessions,
    pub streams: Streams,
    pub audiences: Audiences,
}

pub async fn router(platform: &Platform) -> Result<Router, StartError> {
    let comms = &platform.comms;
    let sessions = Sessions::start(comms.clone(), platform.config.sessions_per_agent, &platform.lifecycle).await?;
    let streams = Streams::start(comms.clone(), &platform.lifecycle).await?;
    watch::start(platform, &streams, &platform.lifecycle);
    let audiences = Audiences {
        sessions: sessions.clone(),
        streams: streams.clone(),
    };
    let upto = |version| {
        let versions = ProtocolVersion::known_up_to(version);
        Handler::new(comms.clone(), audiences.clone(), versions)
    };
    // The stateless revision knows no SSE transport.
    let tier = Tier {
        legacy: upto(&ProtocolVersion::LATEST_WITH_INITIALIZE),
        sessions,
        streams,
        audiences: audiences.clone(),
    };
    let streamable_edge = StreamableEdge {
        sessions: tier.sessions.clone(),
        tasks: comms.tasks.clone(),
    };
    let streamable = Router::new()
        .route("/mcp", any_service(service(&tier, upto(&ProtocolVersion::LATEST))))
        .route("/mcp-legacy", any_service(service(&tier, tier.legacy.clone())))
        .layer(from_fn_with_state(streamable_edge, edge::enter_streamable));
    let sse = Router::new()
        .route("/sse", get(sse::open))
        .route("/messages", post(sse::receive))
        .with_state(tier);
    let edge = Edge {
        allowed_hosts: Arc::new(platform.config.allowed_hosts.clone()),
        door: Door::new(platform),
    };
    Ok(streamable.merge(sse).layer(from_fn_with_state(edge, edge::enter)))
}

fn service(tier: &Tier, handler: Handler) -> StreamableHttpService<Handler, Manager> {
    let mut config = StreamableHttpServerConfig::default()
        // Our own check stands in front of all transports.
        .disable_allowed_hosts()
        .with_sse_keep_alive(Some(KEEP_ALIVE))
        // The manager sends priming events of its own.
        .with_sse_retry(None)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY);
    config.session_store = Some(Arc::new(DeleteHook(tier.sessions.clone())));
    let manager = Manager::new(tier.clone(), handler.clone());
    StreamableHttpService::new(move || Ok(handler.clone()), Arc::new(manager), config)
}
