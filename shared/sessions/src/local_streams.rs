//! Operations on the streams of this replica: the table of open sockets together with the registry entries.

use std::time::Duration;

use butt_dial_domain::{AgentId, Failure, OrgId, clock::Timestamp};

use crate::{
    connection::{ClientChange, Connection},
    inbox_watch,
    open_streams::{OpenStreams, StreamCaps, StreamGone},
    pending_requests::PendingRequests,
    ports::Ports,
    push_stream::PushStream,
    reconnects::{Reconnects, announce_presence},
    stream_registry::StreamRegistry,
};

pub(crate) const RENEW_INTERVAL: Duration = Duration::from_secs(15);

#[derive(Clone)]
pub(crate) struct LocalStreams {
    pub ports: Ports,
    pub open: OpenStreams,
    pub registry: StreamRegistry,
    pub requests: PendingRequests,
    reconnects: Reconnects,
}

impl LocalStreams {
    pub fn new(ports: Ports, reconnects: Reconnects, max_streams: StreamCaps) -> Self {
        Self {
            open: OpenStreams::new(max_streams),
            registry: StreamRegistry::new(ports.kv.clone()),
            requests: PendingRequests::new(ports.replica.clone()),
            ports,
            reconnects,
        }
    }

    /// Opens a stream. Its entry is in the registry before anything can be pushed.
    pub async fn register(&self, connection: Connection, org: Option<OrgId>) -> Result<PushStream, Failure> {
        if self.ports.draining.is_cancelled() {
            return Err(Failure::unavailable("this replica is stopping"));
        }
        self.registry.write(&connection).await?;
        self.registry.add_member(&connection.agent, &connection.id).await?;
        let (id, agent) = (connection.id.clone(), connection.agent.clone());
        let now = self.ports.clock.now();
        self.schedule_delivery(&connection, now);
        let watch = connection.flags.watches_inbox;
        let watch = watch.then(|| inbox_watch::start(&self.ports, &self.open, &id, &agent));
        let ends = self.open.insert(connection, org, now, watch);
        let closing = (self.clone(), id.clone(), agent);
        let on_close = Box::new(move || {
            let (streams, id, agent) = closing;
            streams.remove(id, agent);
        });
        let stream = PushStream::new(id, ends, on_close);
        self.announce_sampling(stream.id()).await;
        Ok(stream)
    }

    /// Removes a closed stream with its entry and its pending requests.
    fn remove(&self, id: String, agent: AgentId) {
        self.open.remove(&id);
        self.requests.abandon(&id);
        let registry = self.registry.clone();
        self.ports
            .tasks
            .spawn(async move { registry.remove(&agent, &id).await });
    }

    /// Applies a change and writes the entry. Returns false when the stream is gone or the registry does not answer.
    pub async fn update(&self, id: &str, agent: &AgentId, change: &ClientChange) -> bool {
        match self.apply(id, agent, change) {
            Ok(true) => {
                let is_saved = self.save(id).await;
                if matches!(change, ClientChange::Initialized(_)) {
                    self.announce_sampling(id).await;
                }
                is_saved
            }
            Ok(false) => true,
            Err(StreamGone) => false,
        }
    }

    /// Applies a change to the table only. Returns false when it changes nothing.
    pub fn apply(&self, id: &str, agent: &AgentId, change: &ClientChange) -> Result<bool, StreamGone> {
        let watch = || inbox_watch::start(&self.ports, &self.open, id, agent);
        let Some(connection) = self.open.apply(id, agent, change, watch)? else {
            return Ok(false);
        };
        if matches!(change, ClientChange::Initialized(_) | ClientChange::Subscribed(true)) {
            let now = self.ports.clock.now();
            self.schedule_delivery(&connection, now);
        }
        Ok(true)
    }

    /// Writes the entry with the stream's current state. Returns true when the stream is gone: it needs no entry then.
    pub async fn save(&self, id: &str) -> bool {
        let Some(lock) = self.open.find_save_lock(id) else {
            return true;
        };
        let _guard = lock.lock().await;
        let Some(connection) = self.open.find(id) else {
            return true;
        };
        let is_written = self.registry.write(&connection).await.is_ok();
        // A stream that was closed meanwhile may have lost its entry before the write, which then restored it.
        if self.open.find(id).is_none() {
            self.registry.remove(&connection.agent, id).await;
        }
        is_written
    }

    /// Delivers the agent's waiting events once the client counts as a listener.
    fn schedule_delivery(&self, connection: &Connection, now: Timestamp) {
        if let Some(after) = connection.flags.ready_in(now) {
            self.reconnects.schedule(&connection.id, after);
        }
    }

    /// Returns the stream's agent when the stream is open and its client is, or becomes, a listener.
    pub fn find_listener(&self, id: &str) -> Option<AgentId> {
        let connection = self.open.find(id)?;
        let listens = connection.flags.ready_in(self.ports.clock.now()).is_some();
        listens.then_some(connection.agent)
    }

    /// Notifies voice relays when the client accepts sampling: waiting turns can be answered by its model.
    pub async fn announce_sampling(&self, id: &str) {
        let connection = self.open.find(id).filter(Connection::can_sample);
        if let Some(connection) = connection {
            announce_presence(&self.ports, &connection.agent).await;
        }
    }

    /// Renews all entries. An entry that can't be renewed now is renewed at the next interval.
    pub async fn renew(&self) {
        let mut failed = 0_u32;
        for id in self.open.ids() {
            let Some(agent) = self.open.find_agent(&id) else {
                continue;
            };
            if !self.save(&id).await || self.registry.add_member(&agent, &id).await.is_err() {
                failed += 1;
            }
        }
        if failed > 0 {
            tracing::warn!(failed, "stream entries not renewed");
        }
    }

    /// Renews the entries every `RENEW_INTERVAL` until the process drains.
    pub async fn run_renewal(self) {
        let draining = self.ports.draining.clone();
        let renewal = async {
            loop {
                tokio::time::sleep(RENEW_INTERVAL).await;
                self.renew().await;
            }
        };
        draining.run_until_cancelled(renewal).await;
    }

    /// Writes all entries again when the key-value store has lost them.
    pub async fn restore_lost_entries(&self) {
        let replica = &self.ports.replica;
        if !self.registry.is_marker_missing(replica).await {
            return;
        }
        self.renew().await;
        if let Err(error) = self.registry.set_marker(replica).await {
            tracing::warn!(%error, "replica marker not set");
        }
    }
}
