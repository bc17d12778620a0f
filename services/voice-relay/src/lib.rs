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
    calls::relays::{self, Heart, Memory, Missing},
};
use butt_dial_runtime::{Lifecycle, Platform, Role, platform::StartError};
use futures::FutureExt;
use tokio::{sync::watch, time::sleep};
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
    /// Changes when the store may have lost what it was told: every call tells it again.
    pub(crate) amnesia: watch::Sender<()>,
}

async fn build(platform: Platform) -> Result<Router, StartError> {
    let relay = Relay {
        comms: platform.comms.clone(),
        lifecycle: platform.lifecycle.clone(),
        pulse: Arc::new(Pulse::new()),
        calls: TaskTracker::new(),
        amnesia: watch::Sender::new(()),
    };
    let mut heart = Heart::default();
    heart
        .beat(&relay.comms)
        .await
        .map_err(|error| StartError::Kv(error.to_string()))?;
    relay.lifecycle.spawn(live(relay.clone(), heart));
    Ok(Router::new()
        .route("/relay/{token}", get(socket::open))
        .with_state(relay))
}

/// Says that this relay lives, to the others and to itself, until it stops and the last of its calls has gone: as long as it
/// holds one, nobody is to take that for an orphan. Looks after the calls of others beside that, never in front of it: who
/// takes care of the dead must not seem dead.
async fn live(relay: Relay, mut heart: Heart) {
    let beats = async {
        loop {
            sleep(relays::BEAT).await;
            match heart.beat(&relay.comms).await {
                Ok(Memory::Kept) => {}
                Ok(Memory::Lost) => {
                    tracing::warn!("the store may have lost what this relay told it; it is told again");
                    relay.amnesia.send_replace(());
                }
                Err(error) => {
                    tracing::warn!(%error, "this relay can't say that it lives; its calls may be taken over");
                }
            }
        }
    };
    let missing = Missing::default();
    let care = async {
        loop {
            sleep(relays::BEAT).await;
            adoption::adopt_orphans(&relay.comms, &missing).await;
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
        () = care => {}
        () = pulse => {}
        () = over => {}
    }
}
