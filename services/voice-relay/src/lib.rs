//! The voice relay: holds the sockets over which carriers send the caller's words and speak the replies. One task for each
//! call owns its socket and nothing else: the state of the call is in the key-value store, so that another relay continues
//! the call when this one ends, gracefully or not.

mod acquire;
mod carrier_socket;
mod commands;
mod credit_timer;
mod heartbeat;
mod persistence;
mod recording;
mod reply_requests;
mod responder;
mod session;
mod session_end;
mod stall_detector;
mod takeover;
mod upgrade;

use std::sync::Arc;

use axum::{Router, routing::get};
use butt_dial_calls::{Calls, relay_registry::Heartbeat};
use butt_dial_runtime::{Backend, Lifecycle, Platform, Role, platform::StartError};
use futures::FutureExt;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use self::stall_detector::StallDetector;

pub const ROLE: Role = Role {
    name: "voice-relay",
    needs: Backend::ALL,
    build: |platform| build(platform).boxed(),
};

/// The state of a relay, shared by its calls.
#[derive(Clone)]
struct Relay {
    calls: Arc<Calls>,
    lifecycle: Lifecycle,
    stall_detector: Arc<StallDetector>,
    /// The live sessions.
    sessions: TaskTracker,
    /// Changes when the registry may have lost its entries. Every session then registers its call again.
    registry_reset: watch::Sender<()>,
}

async fn build(platform: Platform) -> Result<Router, StartError> {
    let relay = Relay {
        calls: platform.product.calls.clone(),
        lifecycle: platform.lifecycle.clone(),
        stall_detector: Arc::new(StallDetector::new()),
        sessions: TaskTracker::new(),
        registry_reset: watch::Sender::new(()),
    };
    let mut heartbeat = Heartbeat::default();
    heartbeat
        .renew(&relay.calls)
        .await
        .map_err(|error| StartError::Kv(error.to_string()))?;
    relay
        .lifecycle
        .spawn(heartbeat::run_heartbeat(relay.clone(), heartbeat));
    Ok(Router::new()
        .route("/relay/{token}", get(upgrade::open))
        .with_state(relay))
}
