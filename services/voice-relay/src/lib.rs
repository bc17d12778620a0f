//! The voice relay: holds the sockets over which carriers bring what callers say, and speak what they are sent. One task a
//! call, which owns the socket and nothing else: what is known of the call stands in the key-value store, so that another
//! relay goes on with it when this one ends, however it ends.

mod adoption;
mod asking;
mod call;
mod keeping;
mod mind;
mod money;
mod orders;
mod pulse;
mod socket;
mod taking;

use std::{sync::Arc, time::Duration};

use axum::{Router, routing::get};
use butt_dial_comms::{
    Comms,
    calls::relays::{self, Missing},
};
use butt_dial_runtime::{Lifecycle, Platform, Role, platform::StartError};
use futures::FutureExt;
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use self::pulse::Pulse;

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
    pub(crate) pulse: Arc<Pulse>,
    /// Those that this relay holds.
    pub(crate) calls: TaskTracker,
}

async fn build(platform: Platform) -> Result<Router, StartError> {
    let relay = Relay {
        comms: platform.comms.clone(),
        lifecycle: platform.lifecycle.clone(),
        pulse: Arc::new(Pulse::new()),
        calls: TaskTracker::new(),
    };
    relays::beat(&relay.comms)
        .await
        .map_err(|error| StartError::Kv(error.to_string()))?;
    relay.lifecycle.spawn(live(relay.clone()));
    Ok(Router::new()
        .route("/relay/{token}", get(socket::open))
        .with_state(relay))
}

/// Says that this relay lives, to the others and to itself, until it stops and the last of its calls has gone: as long as it
/// holds one, nobody is to take that for an orphan.
async fn live(relay: Relay) {
    let missing = Missing::default();
    let beats = async {
        loop {
            sleep(relays::BEAT).await;
            adoption::beat_and_adopt(&relay.comms, &missing).await;
        }
    };
    let pulse = async {
        loop {
            sleep(PULSE).await;
            relay.pulse.beat();
        }
    };
    let over = async {
        relay.lifecycle.draining().cancelled().await;
        relay.calls.close();
        relay.calls.wait().await;
    };
    tokio::select! {
        () = beats => {}
        () = pulse => {}
        () = over => {}
    }
}
