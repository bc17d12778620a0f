//! One loopback server that mounts every vendor's simulator under `/<vendor>`, a page where people read and write,
//! and routes that make the vendors misbehave. Real HTTP through real sockets: adapters can't tell the difference.

pub mod audio;
pub mod calls;
mod control;
mod delivery;
pub mod faults;
pub mod idempotency;
mod mailbox;
mod message;
pub mod models;
mod page;
mod person_messages;
pub mod picture;
pub mod scripted_model;
mod socket;
mod state;

#[cfg(test)]
mod tests;
mod webhook_client;

use std::{future::IntoFuture, io, net::SocketAddr};

use axum::serve::Listener;
use butt_dial_domain::Clock;

pub use delivery::{DeliveryPlan, DeliveryStep, StatusWebhook};
pub use faults::{ErrorFormat, InjectedFault};
pub use message::SimulatedMessage;
pub use models::{ModelRequest, RequestEnd};
pub use person_messages::{PersonMessage, PersonMessageResult, VendorWebhook, WebhookBehavior};
pub use state::SimulatorState;
pub use webhook_client::{FORM, Headers, JSON, OutgoingWebhook, RetryPolicy, WebhookOutcome, WebhookResponse};

use self::socket::{Connection, Loopback};

/// A running simulator. Dropping it stops it; `stop` also waits.
pub struct Simulator {
    addr: SocketAddr,
    state: SimulatorState,
}

impl Simulator {
    /// Listens on a loopback address; port 0 takes a free one.
    pub async fn start(addr: SocketAddr) -> io::Result<Self> {
        Self::start_with(addr, SimulatorState::new(Clock::System)).await
    }

    /// Listens with a state of the caller's making, such as one on a clock that stands still.
    pub async fn start_with(addr: SocketAddr, state: SimulatorState) -> io::Result<Self> {
        let listener = Loopback::bind(addr).await?;
        let addr = listener.local_addr()?;
        state.set_base_url(format!("http://{addr}"));
        let router = router(&state).into_make_service_with_connect_info::<Connection>();
        let stopped = state.clone();
        // On stop it waits for its open connections: each ends once its request has, and held requests end then too.
        let server = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stopped.stopped().await })
            .into_future();
        state.spawn_uncancelled(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the simulator's server ended");
            }
        });
        state.spawn(delivery::run(state.clone()));
        Ok(Self { addr, state })
    }

    /// Without a slash at the end. A vendor's endpoint is this with `/<vendor>`.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn state(&self) -> &SimulatorState {
        &self.state
    }

    pub async fn stop(self) {
        self.state.stop().await;
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.state.start_shutdown();
    }
}

fn router(state: &SimulatorState) -> axum::Router {
    crate::VENDORS
        .iter()
        .fold(control::router(state.clone()), |router, vendor| {
            state.mount(vendor.manifest.id);
            router.nest(&format!("/{}", vendor.manifest.id), (vendor.simulator)(state.clone()))
        })
}
