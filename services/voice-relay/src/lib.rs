//! The voice relay: holds the sockets over which carriers bring what callers say, and speak what they are sent. One task a
//! call, which owns the socket and nothing else: what is known of the call stands in the key-value store, so that another
//! relay goes on with it when this one ends, however it ends.

mod acquire;
mod agent_requests;
mod commands;
mod credit_timer;
mod persistence;
mod responder;
mod session;
mod socket;
mod stall_detector;
mod takeover;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use butt_dial_comms::{
    Comms,
    calls::relay_registry::{self, ExpiredRelays, Heartbeat, RegistryState},
};
use butt_dial_runtime::{Lifecycle, Platform, Role, platform::StartError};
use futures::FutureExt;
use tokio::{sync::watch, time::sleep};
use tokio_util::task::TaskTracker;

use self::stall_detector::StallDetector;

/// How often it is looked whether this program stands still.
const PULSE: Duration = Duration::from_millis(500);

pub const ROLE: Role = Role {
    name: "voice-relay",
    build: |platform| build(platform).boxed(),
};

/// What a call is handled with.
#[derive(Clone)]
pub struct Relay {
    pub(crate) comms: Comms,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) stall_detector: Arc<StallDetector>,
    /// Those that this relay holds.
    pub(crate) calls: TaskTracker,
    /// Changes when the store may have lost what it was told: every call tells it again.
    pub(crate) registry_reset: watch::Sender<()>,
}

async fn build(platform: Platform) -> Result<Router, StartError> {
    let relay = Relay {
        comms: platform.comms.clone(),
        lifecycle: platform.lifecycle.clone(),
        stall_detector: Arc::new(StallDetector::new()),
        calls: TaskTracker::new(),
        registry_reset: watch::Sender::new(()),
    };
    let mut heart = Heartbeat::default();
    heart
        .renew(&relay.comms)
        .await
        .map_err(|error| StartError::Kv(error.to_string()))?;
    relay.lifecycle.spawn(run_heartbeat(relay.clone(), heart));
    Ok(Router::new()
        .route("/relay/{token}", get(socket::open))
        .with_state(relay))
}

/// Says that this relay lives, to the others and to itself, until it stops and the last of its calls has gone: as long as it
/// holds one, nobody is to take that for an orphan. Looks after the calls of others beside that, never in front of it: who
/// takes care of the dead must not seem dead.
async fn run_heartbeat(relay: Relay, mut heart: Heartbeat) {
    let beats = async {
        loop {
            sleep(relay_registry::HEARTBEAT_INTERVAL).await;
            match heart.renew(&relay.comms).await {
                Ok(RegistryState::Kept) => {}
                Ok(RegistryState::Lost) => {
                    tracing::warn!("the store may have lost what this relay told it; it is told again");
                    relay.registry_reset.send_replace(());
                }
                Err(error) => {
                    tracing::warn!(%error, "this relay can't say that it lives; its calls may be taken over");
                }
            }
        }
    };
    let missing = ExpiredRelays::default();
    let care = async {
        loop {
            sleep(relay_registry::HEARTBEAT_INTERVAL).await;
            takeover::take_over_orphaned_calls(&relay.comms, &missing).await;
        }
    };
    let pulse = async {
        loop {
            sleep(PULSE).await;
            relay.stall_detector.beat();
        }
    };
    let over = async {
        relay.lifecycle.draining().cancelled().await;
        relay.calls.close();
        relay.calls.wait().await;
    };
    tokio::select! {
        () = beats => {}
        () = care => {}
        () = pulse => {}
        () = over => {}
    }
}
