//! The voice relay: holds the sockets over which carriers bring what callers say, and speak what they are sent. One task a
//! call, which owns the socket and nothing else: what is known of the call stands in the key-value store, so that another
//! relay goes on with it when this one ends, however it ends.

mod adoption;
mod call;
mod keeping;
mod mind;
mod money;
mod orders;
mod socket;
mod taking;

use axum::{Router, routing::get};
use butt_dial_comms::{Comms, calls::relays};
use butt_dial_runtime::{Lifecycle, Platform, Role, platform::StartError};
use futures::FutureExt;

pub const ROLE: Role = Role {
    name: "voice-relay",
    build: |platform| build(platform).boxed(),
};

/// What a call is handled with.
#[derive(Clone)]
pub struct Relay {
    pub(crate) comms: Comms,
    pub(crate) lifecycle: Lifecycle,
}

async fn build(platform: Platform) -> Result<Router, StartError> {
    let relay = Relay {
        comms: platform.comms.clone(),
        lifecycle: platform.lifecycle.clone(),
    };
    relays::beat(&relay.comms)
        .await
        .map_err(|error| StartError::Kv(error.to_string()))?;
    let (comms, missing) = (relay.comms.clone(), relays::Missing::default());
    relay.lifecycle.repeat(relays::BEAT, move || {
        let (comms, missing) = (comms.clone(), missing.clone());
        async move { adoption::beat_and_adopt(&comms, &missing).await }
    });
    Ok(Router::new()
        .route("/relay/{token}", get(socket::open))
        .with_state(relay))
}
