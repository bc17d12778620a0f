//! MCP sessions and push streams on many gateway replicas. A session is a record in the key-value store, and any replica
//! serves its requests. Only an open socket belongs to one replica: other replicas reach it over the bus, by its registry
//! entry. `SessionRegistry` keeps the records, `StreamRelay` the streams, and `RevocationFeed` reports revoked tokens.
//! This crate must never decide what an agent may do: callers check the agent before they pass it in.

mod cancellations;
mod client_requests;
mod client_responses;
mod connection;
mod deliveries;
mod inbox_watch;
mod local_streams;
mod open_streams;
mod pending_requests;
mod ports;
mod push_stream;
mod reconnects;
mod revocations;
mod session_ends;
mod session_registry;
mod stream_commands;
mod stream_registry;
mod stream_relay;

use butt_dial_domain::ports::bus::BusError;
use futures::future::BoxFuture;

pub use cancellations::{Cancellations, RunningRequest};
pub use connection::{ClientChange, ClientFlags, Connection, Reach};
pub use inbox_watch::INBOX_URI;
pub use ports::{Ports, ReadyHook, TraceContext};
pub use push_stream::PushStream;
pub use revocations::RevocationFeed;
pub use session_registry::{Session, SessionRegistry};
pub use stream_relay::StreamRelay;

use local_streams::LocalStreams;
use open_streams::StreamCaps;

/// Limits per agent.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Sessions on all replicas. A further one ends the session that was unused for the longest time.
    pub sessions_per_agent: usize,
    /// Push streams on one replica. A further one ends the oldest.
    pub streams_per_agent: usize,
    /// Of all agents of an organization. A further one ends the oldest of the agent that has the most.
    pub streams_per_organization: usize,
}

/// The handles of a gateway.
#[derive(Clone)]
pub struct Sessions {
    pub registry: SessionRegistry,
    pub streams: StreamRelay,
    pub revocations: RevocationFeed,
    pub cancellations: Cancellations,
}

impl Sessions {
    /// Subscribes to the bus. Returns the handles, and the loops that the caller has to run: each ends when the process
    /// drains. `on_ready` reschedules the deliveries of an agent that has a listener again.
    pub async fn start(
        ports: Ports,
        limits: SessionLimits,
        on_ready: ReadyHook,
    ) -> Result<(Self, Vec<BoxFuture<'static, ()>>), BusError> {
        let (reconnects, scheduled) = reconnects::queue();
        let max_streams = StreamCaps {
            per_agent: limits.streams_per_agent,
            per_org: limits.streams_per_organization,
        };
        let local = LocalStreams::new(ports.clone(), reconnects, max_streams);
        let sessions = Self {
            registry: SessionRegistry::new(ports.clone(), limits.sessions_per_agent),
            streams: StreamRelay::new(local.clone()),
            revocations: RevocationFeed::new(local.open.clone(), ports.clock.clone()),
            cancellations: Cancellations::new(ports.clone()),
        };
        let listeners = local.clone();
        let find_listener = move |id: &str| listeners.find_listener(id);
        let loops: Vec<BoxFuture<'static, ()>> = vec![
            sessions.registry.listen().await?,
            Box::pin(reconnects::run(ports.clone(), scheduled, find_listener, on_ready)),
            Box::pin(sessions.streams.clone().run_shutdown()),
            stream_commands::listen(local.clone()).await?,
            deliveries::listen(local.clone()).await?,
            client_responses::listen(local.clone()).await?,
            client_requests::listen(local.clone()).await?,
            sessions.cancellations.clone().listen().await?,
            session_ends::listen(ports.clone(), local.open.clone()).await?,
            revocations::listen(ports, sessions.revocations.clone()).await?,
            Box::pin(local.run_renewal()),
        ];
        Ok((sessions, loops))
    }
}
