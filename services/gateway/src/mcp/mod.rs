//! MCP on many replicas: every request runs on the replica that it reaches, sessions are records that all replicas share,
//! and only open sockets belong to a replica (`butt_dial_sessions`).
//!
//! Three transports: `/mcp` (all revisions), `/mcp-legacy` (up to 2025-11-25, for clients that need sampling), and `/sse`
//! with `/messages` (2024-11-05).

mod accept;
mod attend_loop;
mod backend_watchdog;
mod call_events;
mod client_ref;
mod early_response;
mod event_stream;
mod events;
mod exchange;
mod handler;
mod http;
mod listing;
mod manager;
mod message;
mod protocol;
mod ready_hook;
mod resources;
mod revocation_watch;
mod sse;
mod state;
mod tools;

use std::sync::Arc;

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{any_service, get, post},
};
use butt_dial_operations::Product;
use butt_dial_runtime::{Platform, platform::StartError};
use butt_dial_sessions::{SessionLimits, Sessions};
use rmcp::{
    model::ProtocolVersion,
    transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService},
};

use crate::{auth::AuthLayer, base_path::BasePath, cors::CorsOrigins, http_errors};
use client_ref::ClientStates;
use handler::Handler;
use http::{Entry, StreamableEntry};
use listing::{Listing, ListingSettings};
use manager::{DeleteHook, Manager};
use ready_hook::ready_hook;
use state::{KEEP_ALIVE, MAX_BODY, McpState};

pub fn router(platform: &Platform, product: &Arc<Product>, sessions: &Sessions) -> Router {
    let clients = ClientStates::new(sessions.clone());
    let listing = Arc::new(Listing::new(ListingSettings {
        all_tools: platform.config.lists_all_tools,
        full_descriptions: platform.config.describes_tools_fully,
        output_schemas: platform.config.tool_output_schemas,
    }));
    let handler_up_to = |version| {
        let versions = ProtocolVersion::known_up_to(version);
        Handler::new(
            product.clone(),
            sessions.clone(),
            clients.clone(),
            versions,
            listing.clone(),
        )
    };
    let state = McpState {
        // The stateless revision has no SSE transport.
        legacy: handler_up_to(&ProtocolVersion::LATEST_WITH_INITIALIZE),
        sessions: sessions.clone(),
        clients: clients.clone(),
        base_path: BasePath::new(&platform.config.base_path),
    };
    let entry = StreamableEntry {
        sessions: sessions.registry.clone(),
        tasks: platform.lifecycle.in_flight().clone(),
    };
    let all_revisions = handler_up_to(&ProtocolVersion::LATEST);
    let (all, legacy) = (service(&state, all_revisions), service(&state, state.legacy.clone()));
    let streamable = Router::new()
        .route("/mcp", any_service(all.clone()))
        .route("/mcp/", any_service(all))
        .route("/mcp-legacy", any_service(legacy.clone()))
        .route("/mcp-legacy/", any_service(legacy))
        .layer(from_fn_with_state(entry, http::handle_streamable));
    let sse = Router::new()
        .route("/sse", get(sse::open))
        .route("/sse/", get(sse::open))
        .route("/messages", post(sse::receive))
        .route("/messages/", post(sse::receive))
        .method_not_allowed_fallback(http_errors::method_not_allowed)
        .with_state(state);
    let entry = Entry {
        allowed_hosts: Arc::new(platform.config.allowed_hosts.clone()),
        origins: CorsOrigins::new(&platform.config.cors_allowed_origins),
        auth: AuthLayer::new(platform).with_query_token(platform.config.allow_query_token),
    };
    streamable
        .merge(sse)
        .layer(from_fn_with_state(entry, http::authenticate))
}

/// Starts the sessions with the loops that watch the backends and revoked tokens.
pub async fn start_sessions(platform: &Platform, product: &Product) -> Result<Sessions, StartError> {
    let started = Sessions::start(
        platform.session_ports.clone(),
        SessionLimits {
            sessions_per_agent: platform.config.sessions_per_agent,
            streams_per_agent: platform.config.streams_per_agent,
            streams_per_organization: platform.config.streams_per_organization,
        },
        ready_hook(product.delivery.clone()),
    );
    let (sessions, loops) = started.await.map_err(|error| StartError::Bus(error.to_string()))?;
    for task in loops {
        platform.lifecycle.spawn(task);
    }
    backend_watchdog::start(platform, &sessions.streams, &platform.lifecycle);
    revocation_watch::start(platform, &sessions.revocations, &platform.lifecycle);
    Ok(sessions)
}

fn service(state: &McpState, handler: Handler) -> StreamableHttpService<Handler, Manager> {
    let mut config = StreamableHttpServerConfig::default()
        // `http::authenticate` checks hosts for all transports.
        .disable_allowed_hosts()
        .with_sse_keep_alive(Some(KEEP_ALIVE))
        // The manager sends its own priming events.
        .with_sse_retry(None)
        .with_json_response(true)
        .with_max_request_body_bytes(MAX_BODY);
    config.session_store = Some(Arc::new(DeleteHook(state.sessions.registry.clone())));
    let manager = Manager::new(state.clone(), handler.clone());
    StreamableHttpService::new(move || Ok(handler.clone()), Arc::new(manager), config)
}
