//! One server, usually on a loopback address, with each vendor's simulator under `/<vendor>`, a page for people to read and write messages,
//! and routes for fault injection. Real HTTP over real sockets, so that adapters run unchanged.

mod account_book;
pub mod audio;
pub mod calls;
mod chat;
mod chats;
mod control;
mod delivery;
mod delivery_queue;
pub mod faults;
pub mod idempotency;
mod injected_fault;
mod mailbox;
mod message;
mod messages;
mod model_request;
pub mod models;
mod page;
mod person_message;
mod person_messages;
pub mod picture;
mod recordings;
pub mod scripted_model;
mod secrets;
mod socket;
mod state;
#[cfg(test)]
mod tests;
pub mod voice_note;
mod webhook;
mod webhook_client;

use std::{
    future::IntoFuture,
    io,
    net::{Ipv4Addr, SocketAddr},
};

use axum::serve::Listener;
use butt_dial_domain::Clock;

pub use account_book::{SimulatedAccount, SimulatedDomain, SimulatedNumber, SimulatedResource};
pub use chat::SimulatedChatAction;
pub use delivery_queue::{DeliveryPlan, DeliveryStep, StatusWebhook};
pub use faults::ErrorFormat;
pub use injected_fault::InjectedFault;
pub use message::{SimulatedMail, SimulatedMessage};
pub use model_request::{ModelRequest, RequestEnd};
pub use person_message::{PersonMessage, VendorWebhook, WebhookBehavior, merge};
pub use person_messages::PersonMessageResult;
pub use state::SimulatorState;
pub use webhook::{FORM, Headers, JSON, OutgoingWebhook, RetryPolicy, WebhookOutcome, WebhookResponse};

use self::socket::{Connection, SimulatorListener};

/// A running simulator. Dropping it starts the shutdown; `stop` also waits for it.
pub struct Simulator {
    base_url: String,
    state: SimulatorState,
}

impl Simulator {
    /// Listens on a loopback address; port 0 selects a free port.
    pub async fn start(addr: SocketAddr) -> io::Result<Self> {
        Self::start_with(addr, SimulatorState::new(Clock::System)).await
    }

    /// Listens with this state, for example one with a fixed clock.
    pub async fn start_with(addr: SocketAddr, state: SimulatorState) -> io::Result<Self> {
        Self::serve(SimulatorListener::bind_loopback(addr).await?, &[], state)
    }

    /// Listens on any address, for processes on other machines such as containers. Accepts requests that name this machine
    /// or one of `hosts`; the first one is the name in links. The control routes have no authentication, so the network must
    /// be private.
    pub async fn start_for_hosts(addr: SocketAddr, hosts: &[String], state: SimulatorState) -> io::Result<Self> {
        Self::serve(SimulatorListener::bind_any(addr).await?, hosts, state)
    }

    fn serve(listener: SimulatorListener, hosts: &[String], state: SimulatorState) -> io::Result<Self> {
        let mut addr = listener.local_addr()?;
        if addr.ip().is_unspecified() {
            addr.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        state.set_base_url(match hosts.first() {
            Some(host) => format!("http://{host}:{}", addr.port()),
            None => format!("http://{addr}"),
        });
        let router = router(&state, hosts).into_make_service_with_connect_info::<Connection>();
        let stopped = state.clone();
        // The shutdown waits for open connections. Each ends with its request, and held requests end at shutdown.
        let server = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stopped.stopped().await })
            .into_future();
        state.spawn_uncancelled(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "simulator server failed");
            }
        });
        state.spawn(delivery::run(state.clone()));
        Ok(Self {
            base_url: state.base_url().to_owned(),
            state,
        })
    }

    /// Returns the base URL without a trailing slash. A vendor's endpoint is this URL with `/<vendor>`.
    pub fn base_url(&self) -> String {
        self.base_url.clone()
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

fn router(state: &SimulatorState, hosts: &[String]) -> axum::Router {
    crate::VENDORS
        .iter()
        .fold(control::router(state.clone(), hosts), |router, vendor| {
            state.mount(vendor.manifest.id);
            router.nest(&format!("/{}", vendor.manifest.id), (vendor.simulator)(state.clone()))
        })
}
