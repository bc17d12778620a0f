//! The table of the push streams with a socket on this replica. It does no I/O: an idle stream is a socket, a channel
//! and a table entry.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connection::{ClientChange, Connection};

/// The legacy transport's name in the registry.
pub(crate) const SSE: &str = "sse";

/// Messages that a slow reader may lag behind. At the limit its stream is closed; the client reconnects and reads the log.
/// Holds a delivery of 64 events with its ping, the next delivery, and responses besides.
const QUEUE_LEN: usize = 160;

struct OpenStream {
    connection: Connection,
    /// `None`: its session is of an older release.
    org: Option<OrgId>,
    opened_at: Timestamp,
    messages: mpsc::Sender<String>,
    end: CancellationToken,
    /// Present while the client watches its inbox.
    inbox_watch: Option<DropGuard>,
    /// Held while the registry entry is written, so that an older state never overwrites a newer one.
    save_lock: Arc<AsyncMutex<()>>,
}

impl OpenStream {
    /// Returns whether a notification about the inbox is queued: the client watches it, and its queue is less than half full.
    fn takes_notifications(&self) -> bool {
        let is_initialized = self.connection.flags.initialized_at.is_some();
        is_initialized && self.inbox_watch.is_some() && self.messages.capacity() * 2 > self.messages.max_capacity()
    }
}

/// The socket's end of a stream.
pub(crate) struct StreamEnds {
    pub messages: mpsc::Receiver<String>,
    pub end: CancellationToken,
}

#[derive(Default)]
struct Table {
    streams: HashMap<String, OpenStream>,
    /// Ids of each agent's streams, the oldest first.
    by_agent: HashMap<AgentId, VecDeque<String>>,
    /// How many streams each agent of an organization has.
    by_org: HashMap<OrgId, HashMap<AgentId, usize>>,
}

impl Table {
    fn remove(&mut self, id: &str) -> Option<OpenStream> {
        let stream = self.streams.remove(id)?;
        let agent = &stream.connection.agent;
        if let Some(ids) = self.by_agent.get_mut(agent) {
            ids.retain(|other| other != id);
            if ids.is_empty() {
                self.by_agent.remove(agent);
            }
        }
        if let Some(org) = &stream.org
            && let Some(agents) = self.by_org.get_mut(org)
        {
            if let Some(count) = agents.get_mut(agent) {
                *count -= 1;
            }
            agents.retain(|_, count| *count > 0);
            if agents.is_empty() {
                self.by_org.remove(org);
            }
        }
        Some(stream)
    }

    fn remove_oldest_of(&mut self, agent: &AgentId) -> Option<OpenStream> {
        let oldest = self.by_agent.get(agent)?.front().cloned()?;
        self.remove(&oldest)
    }

    /// Returns the agent with the most streams, if the organization has more than `max`.
    fn find_excess(&self, org: &OrgId, max: usize) -> Option<AgentId> {
        let agents = self.by_org.get(org)?;
        if agents.values().sum::<usize>() <= max {
            return None;
        }
        agents
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(agent, _)| agent.clone())
    }

    fn of_agent(&self, agent: &AgentId) -> impl Iterator<Item = &OpenStream> {
        let ids = self.by_agent.get(agent).into_iter().flatten();
        ids.filter_map(|id| self.streams.get(id))
    }
}

#[derive(Clone)]
pub(crate) struct OpenStreams {
    table: Arc<Mutex<Table>>,
    max: StreamCaps,
}

/// The most streams on this replica.
#[derive(Clone, Copy)]
pub(crate) struct StreamCaps {
    /// A further one ends the agent's oldest.
    pub per_agent: usize,
    /// A further one ends the oldest of the agent that has the most.
    pub per_org: usize,
}

impl OpenStreams {
    pub fn new(max: StreamCaps) -> Self {
        Self {
            table: Arc::default(),
            max,
        }
    }

    /// Adds a stream. Ends an older stream when the agent or its organization has too many: a client that reconnects is always
    /// admitted.
    pub fn insert(
        &self,
        connection: Connection,
        org: Option<OrgId>,
        opened_at: Timestamp,
        inbox_watch: Option<DropGuard>,
    ) -> StreamEnds {
        let (sender, messages) = mpsc::channel(QUEUE_LEN);
        let end = CancellationToken::new();
        let (id, agent) = (connection.id.clone(), connection.agent.clone());
        let stream = OpenStream {
            messages: sender,
            end: end.clone(),
            opened_at,
            inbox_watch,
            save_lock: Arc::default(),
            org: org.clone(),
            connection,
        };
        let mut table = self.locked();
        table.streams.insert(id.clone(), stream);
        if let Some(org) = &org {
            let agents = table.by_org.entry(org.clone()).or_default();
            *agents.entry(agent.clone()).or_default() += 1;
        }
        let ids = table.by_agent.entry(agent.clone()).or_default();
        ids.push_back(id);
        if ids.len() > self.max.per_agent
            && let Some(oldest) = table.remove_oldest_of(&agent)
        {
            let max = self.max.per_agent;
            tracing::info!(%agent, max, "oldest push stream closed: too many streams of one agent");
            oldest.end.cancel();
        }
        if let Some(org) = org
            && let Some(agent) = table.find_excess(&org, self.max.per_org)
            && let Some(oldest) = table.remove_oldest_of(&agent)
        {
            let max = self.max.per_org;
            tracing::info!(%org, %agent, max, "oldest push stream closed: too many streams of one organization");
            oldest.end.cancel();
        }
        StreamEnds { messages, end }
    }

    /// Removes the stream and ends its socket.
    pub fn remove(&self, id: &str) {
        if let Some(open) = self.locked().remove(id) {
            open.end.cancel();
        }
    }

    pub fn find(&self, id: &str) -> Option<Connection> {
        self.locked().streams.get(id).map(|open| open.connection.clone())
    }

    pub fn find_agent(&self, id: &str) -> Option<AgentId> {
        self.locked().streams.get(id).map(|open| open.connection.agent.clone())
    }

    /// Returns the token that fires when the stream is closed.
    pub fn find_end(&self, id: &str) -> Option<CancellationToken> {
        self.locked().streams.get(id).map(|open| open.end.clone())
    }

    pub fn find_save_lock(&self, id: &str) -> Option<Arc<AsyncMutex<()>>> {
        self.locked().streams.get(id).map(|open| open.save_lock.clone())
    }

    pub fn ids(&self) -> Vec<String> {
        self.locked().streams.keys().cloned().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.locked().streams.is_empty()
    }

    /// Applies a change to the stream of this agent. Returns the connection when the change is new.
    /// `Err` when there is no such stream. `watch` starts a watch of the inbox and runs under the lock.
    pub fn apply(
        &self,
        id: &str,
        agent: &AgentId,
        change: &ClientChange,
        watch: impl FnOnce() -> DropGuard,
    ) -> Result<Option<Connection>, StreamGone> {
        let mut open = self.locked();
        let stream = open
            .streams
            .get_mut(id)
            .filter(|stream| &stream.connection.agent == agent);
        let stream = stream.ok_or(StreamGone)?;
        if !stream.connection.apply(change) {
            return Ok(None);
        }
        if let ClientChange::WatchesInbox(yes) = change {
            stream.inbox_watch = yes.then(watch);
        }
        Ok(Some(stream.connection.clone()))
    }

    /// Queues a message. Returns false when the stream is gone. A stream that can't take the message is closed.
    pub fn push(&self, id: &str, agent: &AgentId, message: String) -> bool {
        let mut open = self.locked();
        let Some(stream) = open.streams.get(id).filter(|stream| &stream.connection.agent == agent) else {
            return false;
        };
        match stream.messages.try_send(message) {
            Ok(()) => true,
            Err(error) => {
                tracing::info!(%error, "push stream closed: reader too slow or gone");
                stream.end.cancel();
                open.remove(id);
                false
            }
        }
    }

    /// Runs `send` with the queue of the stream when it belongs to the agent and its client is initialized.
    pub fn with_initialized<T>(
        &self,
        id: &str,
        agent: &AgentId,
        send: impl FnOnce(&mpsc::Sender<String>) -> Option<T>,
    ) -> Option<T> {
        let open = self.locked();
        let stream = open.streams.get(id)?;
        let connection = &stream.connection;
        if &connection.agent != agent || connection.flags.initialized_at.is_none() {
            return None;
        }
        send(&stream.messages)
    }

    /// Queues a notification about the inbox, which may be dropped, when the stream takes such ones and no newer stream of its
    /// session does.
    pub fn notify(&self, id: &str, notification: &str) {
        let open = self.locked();
        let Some(stream) = open.streams.get(id) else { return };
        let session = stream.connection.session.as_deref();
        let of_session = open
            .of_agent(&stream.connection.agent)
            .filter(|other| other.connection.session.as_deref() == session && other.takes_notifications());
        let is_newest = of_session.last().is_some_and(|newest| newest.connection.id == id);
        if is_newest || (session.is_none() && stream.takes_notifications()) {
            stream.messages.try_send(notification.to_owned()).ok();
        }
    }

    /// Ends one stream. Returns false when it is not here.
    pub fn end(&self, id: &str, agent: &AgentId) -> bool {
        let open = self.locked();
        let stream = open.streams.get(id).filter(|stream| &stream.connection.agent == agent);
        stream.inspect(|stream| stream.end.cancel()).is_some()
    }

    /// Ends the streams of a session.
    pub fn end_session(&self, agent: &AgentId, session: &str) {
        let open = self.locked();
        let ended = open
            .of_agent(agent)
            .filter(|open| open.connection.session.as_deref() == Some(session));
        ended.for_each(|open| open.end.cancel());
    }

    pub fn end_all(&self) {
        self.locked().streams.values().for_each(|open| open.end.cancel());
    }

    /// Ends the streams of an agent that were opened before this time, or all of them.
    pub fn end_all_of(&self, agent: &AgentId, opened_before: Option<Timestamp>) {
        let open = self.locked();
        let ended = open
            .of_agent(agent)
            .filter(|open| opened_before.is_none_or(|before| open.opened_at < before));
        ended.for_each(|open| open.end.cancel());
    }

    /// Ends the streams of the legacy transport. Returns how many.
    pub fn end_legacy(&self) -> usize {
        let open = self.locked();
        let legacy = open.streams.values().filter(|open| open.connection.transport == SSE);
        legacy.inspect(|open| open.end.cancel()).count()
    }

    fn locked(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The stream is not in the table.
#[derive(Debug)]
pub(crate) struct StreamGone;

#[cfg(test)]
mod tests {
    use butt_dial_domain::{Clock, ReplicaId};

    use super::*;
    use crate::connection::ClientFlags;

    fn open(streams: &OpenStreams, id: &str, agent: &str, org: Option<&str>) -> CancellationToken {
        let connection = Connection {
            id: id.into(),
            agent: agent.into(),
            replica: ReplicaId::from("r"),
            transport: SSE.into(),
            session: None,
            peer: None,
            flags: ClientFlags::default(),
        };
        streams
            .insert(connection, org.map(OrgId::from), Clock::System.now(), None)
            .end
    }

    #[test]
    fn organization_over_its_limit_loses_stream_of_busiest_agent() {
        let streams = OpenStreams::new(StreamCaps {
            per_agent: 9,
            per_org: 3,
        });
        let first = open(&streams, "1", "ada", Some("org_a"));
        let second = open(&streams, "2", "ada", Some("org_a"));
        let lone = open(&streams, "3", "bob", Some("org_a"));
        let other = open(&streams, "4", "eve", Some("org_b"));
        let unknown = open(&streams, "5", "fay", None);
        let newest = open(&streams, "6", "cyd", Some("org_a"));
        assert!(first.is_cancelled());
        assert!(
            [second, lone, other, unknown, newest]
                .iter()
                .all(|end| !end.is_cancelled())
        );
        for id in streams.ids() {
            streams.remove(&id);
        }
        let table = streams.locked();
        assert!(table.by_org.is_empty() && table.by_agent.is_empty());
    }

    #[test]
    fn notification_goes_to_newest_stream_of_its_session() {
        let streams = OpenStreams::new(StreamCaps {
            per_agent: 9,
            per_org: 9,
        });
        let now = Clock::System.now();
        let open = |id: &str, session: Option<&str>, is_watching: bool| {
            let connection = Connection {
                id: id.into(),
                agent: "ada".into(),
                replica: ReplicaId::from("r"),
                transport: SSE.into(),
                session: session.map(str::to_owned),
                peer: None,
                flags: ClientFlags {
                    initialized_at: Some(now),
                    ..ClientFlags::default()
                },
            };
            let watch = is_watching.then(|| CancellationToken::new().drop_guard());
            streams.insert(connection, None, now, watch).messages
        };
        let mut queues = [
            open("1", Some("a"), true),
            open("2", Some("a"), true),
            open("3", Some("a"), false),
            open("4", Some("b"), true),
            open("5", None, true),
            open("6", None, true),
        ];
        for id in ["1", "2", "3", "4", "5", "6"] {
            streams.notify(id, "changed");
        }
        let received = queues.each_mut().map(|queue| queue.try_recv().is_ok());
        assert_eq!(received, [false, true, false, true, true, true]);
    }

    #[test]
    fn agent_over_its_limit_loses_its_oldest_stream() {
        let streams = OpenStreams::new(StreamCaps {
            per_agent: 1,
            per_org: 9,
        });
        let first = open(&streams, "1", "ada", Some("org_a"));
        let second = open(&streams, "2", "ada", Some("org_a"));
        assert!(first.is_cancelled() && !second.is_cancelled());
    }
}
