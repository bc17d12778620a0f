//! The push streams whose sockets this replica holds, and their entries in the shared registry, by which any replica
//! finds them. An idle stream is a socket, a channel and an entry: nothing else is kept for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_comms::{Comms, calls::signal};
use butt_dial_domain::{AgentId, Failure, ReplicaId, clock::Timestamp, ids, keys, ports::kv::KvError, subjects};
use butt_dial_runtime::{Lifecycle, platform::StartError};
use futures::StreamExt;
use tokio::sync::{Mutex as AsyncMutex, broadcast, mpsc};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use super::{
    connection::{Change, Connection, Marks},
    push_stream::PushStream,
    requests::Requests,
    returns::{self, Returns},
    sessions::Session,
};

/// An entry that is not renewed for this long belongs to a replica that is gone.
const TTL: Duration = Duration::from_secs(45);
const BEAT: Duration = Duration::from_secs(15);
/// Messages that a slow reader may lag behind; then its stream is closed, and it comes back and reads the log. Holds a
/// delivery of 64 events with its ping, the next one, and answers besides.
const QUEUE: usize = 160;
/// Revocations that a reader may lag behind.
const REVOCATIONS: usize = 64;

/// How long answers may take once the process is to end: a carrier's deadline, and a little.
const LAST_ANSWERS: Duration = Duration::from_secs(12);

/// The legacy transport, in the registry.
const SSE: &str = "sse";

pub(super) struct Open {
    pub connection: Connection,
    pub messages: mpsc::Sender<String>,
    pub end: CancellationToken,
    /// While it wants to be told of its inbox.
    watching: Option<DropGuard>,
    /// Held while the entry is written, so that an older state never follows a newer one.
    saving: Arc<AsyncMutex<()>>,
}

#[derive(Clone)]
pub struct Streams {
    pub(super) comms: Comms,
    pub(super) lifecycle: Lifecycle,
    open: Arc<Mutex<HashMap<String, Open>>>,
    /// What clients were asked.
    pub(super) requests: Requests,
    returns: Returns,
    revocations: broadcast::Sender<AgentId>,
    /// Answers on their way to a stream: at the end they are waited for before the streams are closed.
    answering: TaskTracker,
}

impl Streams {
    pub async fn start(comms: Comms, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        let (returns, entered) = returns::queue();
        let streams = Self {
            requests: Requests::new(comms.replica.clone()),
            comms,
            lifecycle: lifecycle.clone(),
            open: Arc::default(),
            returns,
            revocations: broadcast::channel(REVOCATIONS).0,
            answering: TaskTracker::new(),
        };
        let looking = streams.clone();
        returns::start(streams.comms.clone(), lifecycle, entered, move |id| {
            looking.find_listener(id)
        });
        streams.close_at_the_end();
        streams.take_orders().await?;
        streams.take_deliveries().await?;
        streams.take_answers().await?;
        streams.take_asks().await?;
        streams.watch_revocations().await?;
        let beating = streams.clone();
        lifecycle.repeat(BEAT, move || {
            let streams = beating.clone();
            async move { streams.beat().await }
        });
        Ok(streams)
    }

    pub fn replica(&self) -> &ReplicaId {
        &self.comms.replica
    }

    /// Work that must end although its caller went away.
    pub fn tasks(&self) -> &TaskTracker {
        self.lifecycle.work()
    }

    pub fn draining(&self) -> &CancellationToken {
        self.lifecycle.draining()
    }

    /// Fires when the stream is closed, if this replica holds it; otherwise that is not known here.
    pub fn closed(&self, connection: &Connection) -> CancellationToken {
        let open = self.locked();
        let closed = open
            .get(&connection.id)
            .map(|open| open.end.clone())
            .unwrap_or_default();
        if &connection.replica == self.replica() && !open.contains_key(&connection.id) {
            closed.cancel();
        }
        closed
    }

    pub fn now(&self) -> Timestamp {
        self.comms.clock.now()
    }

    /// A stream of the legacy transport. Its id is the session's: `<replica>.<random>`.
    pub async fn open_sse(&self, agent: AgentId) -> Result<(String, PushStream), Failure> {
        let id = format!("{}.{}", self.replica(), ids::random());
        let connection = Connection {
            id: id.clone(),
            agent,
            replica: self.replica().clone(),
            transport: SSE.into(),
            session: None,
            peer: None,
            marks: Marks::default(),
        };
        Ok((id, self.register(connection).await?))
    }

    /// A stream of a session that is initialized is so from its beginning.
    pub async fn open_for_session(&self, session_id: &str, session: &Session) -> Result<PushStream, Failure> {
        let initialized = session.marks.initialized_at.map(|_| self.comms.clock.now());
        self.register(Connection {
            id: format!("{}.{}", self.replica(), ids::random()),
            agent: session.agent.clone(),
            replica: self.replica().clone(),
            transport: "streamable".into(),
            session: Some(session_id.to_owned()),
            peer: Some(session.peer.clone()),
            marks: Marks {
                initialized_at: initialized,
                ..session.marks.clone()
            },
        })
        .await
    }

    /// The stream with this id, on whichever replica.
    pub async fn find(&self, id: &str) -> Result<Option<Connection>, Failure> {
        if let Some(open) = self.locked().get(id) {
            return Ok(Some(open.connection.clone()));
        }
        let text = self.comms.kv.get(&keys::connection(id)).await.map_err(unavailable)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// The open streams of a session, on all replicas.
    pub async fn list_of_session(&self, agent: &AgentId, session: &str) -> Result<Vec<Connection>, Failure> {
        let members = self.comms.kv.members(&keys::agent_connections(agent)).await;
        let entries: Vec<String> = members
            .map_err(unavailable)?
            .iter()
            .map(|id| keys::connection(id))
            .collect();
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.comms.kv.get_many(&entries).await.map_err(unavailable)?;
        Ok(found
            .into_iter()
            .filter_map(|text| serde_json::from_str::<Connection>(&text?).ok())
            .filter(|connection| &connection.agent == agent && connection.session.as_deref() == Some(session))
            .collect())
    }

    /// Brings a change into the local table. `None`: the stream is gone; `false`: nothing is new in it.
    pub(super) fn apply(&self, id: &str, agent: &AgentId, change: &Change) -> Option<bool> {
        let mut open = self.locked();
        let stream = open.get_mut(id).filter(|stream| &stream.connection.agent == agent)?;
        let is_new = stream.connection.apply(change);
        if is_new && matches!(change, Change::Initialized(_) | Change::Subscribed(true)) {
            self.expect(&stream.connection);
        }
        if is_new && let Change::WatchesInbox(yes) = change {
            stream.watching = yes.then(|| self.watch_inbox(id, agent));
        }
        Some(is_new)
    }

    /// What waits for the agent goes out once it is certain that somebody listens.
    fn expect(&self, connection: &Connection) {
        if let Some(after) = connection.marks.settles_in(self.comms.clock.now()) {
            self.returns.expect(&connection.id, after);
        }
    }

    fn find_listener(&self, id: &str) -> Option<AgentId> {
        let open = self.locked();
        let connection = &open.get(id)?.connection;
        let listens = connection.marks.settles_in(self.comms.clock.now()).is_some();
        listens.then(|| connection.agent.clone())
    }

    /// Writes the entry as it stands at that moment. True when the stream is gone: then there is nothing to write.
    pub(super) async fn save(&self, id: &str) -> bool {
        let Some(saving) = self.locked().get(id).map(|open| open.saving.clone()) else {
            return true;
        };
        let _turn = saving.lock().await;
        let connection = self.locked().get(id).map(|open| open.connection.clone());
        match connection {
            Some(connection) => self.write(&connection).await.is_ok(),
            None => true,
        }
    }

    async fn register(&self, connection: Connection) -> Result<PushStream, Failure> {
        let (messages, queue) = mpsc::channel(QUEUE);
        if self.lifecycle.draining().is_cancelled() {
            return Err(Failure::unavailable("this replica is stopping"));
        }
        let end = CancellationToken::new();
        self.write(&connection).await?;
        let members = keys::agent_connections(&connection.agent);
        self.comms
            .kv
            .add_member(&members, &connection.id, TTL * 4)
            .await
            .map_err(unavailable)?;
        let id = connection.id.clone();
        let ended = end.clone();
        let agent = connection.agent.clone();
        self.expect(&connection);
        let watches = connection.marks.watches_inbox;
        let watching = watches.then(|| self.watch_inbox(&id, &agent));
        self.locked().insert(
            id.clone(),
            Open {
                connection,
                messages,
                end,
                watching,
                saving: Arc::default(),
            },
        );
        let stream = PushStream::new(queue, ended, self.clone(), id, agent);
        self.announce(stream.id()).await;
        Ok(stream)
    }

    /// Calls that wait for an answer of the agent's can ask this client's model from now on.
    pub(super) async fn announce(&self, id: &str) {
        let asked = |open: &Open| open.connection.samples().then(|| open.connection.agent.clone());
        let agent = self.locked().get(id).and_then(asked);
        if let Some(agent) = agent {
            signal::announce(&self.comms, &agent).await;
        }
    }

    async fn write(&self, connection: &Connection) -> Result<(), Failure> {
        let text = serde_json::to_string(connection).map_err(|error| {
            tracing::error!(%error, "a connection can't be written");
            Failure::internal()
        })?;
        self.comms
            .kv
            .set(&keys::connection(&connection.id), &text, TTL)
            .await
            .map_err(unavailable)
    }

    /// Renews every entry, each as it stands at that moment. One that can't be renewed now is at the next beat.
    pub async fn beat(&self) {
        let ids: Vec<String> = self.locked().keys().cloned().collect();
        let mut missed = 0_u32;
        for id in ids {
            let Some(agent) = self.locked().get(&id).map(|open| open.connection.agent.clone()) else {
                continue;
            };
            let members = keys::agent_connections(&agent);
            let written = self.save(&id).await;
            if !written || self.comms.kv.add_member(&members, &id, TTL * 4).await.is_err() {
                missed += 1;
            }
        }
        if missed > 0 {
            tracing::warn!(missed, "entries of open streams could not be renewed");
        }
    }

    async fn watch_revocations(&self) -> Result<(), StartError> {
        let revoked = self.comms.bus.subscribe(subjects::TOKENS_REVOKED).await;
        let mut revoked = revoked.map_err(|error| StartError::Bus(error.to_string()))?;
        let (streams, drain) = (self.clone(), self.lifecycle.draining().clone());
        self.lifecycle.spawn(async move {
            while let Some(Some(message)) = drain.run_until_cancelled(revoked.next()).await {
                let agent = String::from_utf8_lossy(&message.payload).into_owned();
                let agent = AgentId::from(agent);
                streams.close_all_of(&agent);
                // Nobody may be listening.
                streams.revocations.send(agent).ok();
            }
        });
        Ok(())
    }

    /// Ends when the agent's tokens are revoked.
    pub fn revoked(&self, agent: &AgentId) -> impl Future<Output = ()> + Send + use<> {
        let (mut revocations, agent) = (self.revocations.subscribe(), agent.clone());
        async move {
            // Whoever has missed some must take it that this one was among them.
            while let Ok(revoked) = revocations.recv().await {
                if revoked == agent {
                    return;
                }
            }
        }
    }

    /// Runs what brings an answer to a stream.
    pub fn answer(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.answering.spawn(work);
    }

    fn close_at_the_end(&self) {
        let streams = self.clone();
        self.lifecycle.spawn(async move {
            streams.lifecycle.draining().cancelled().await;
            streams.answering.close();
            if tokio::time::timeout(LAST_ANSWERS, streams.answering.wait())
                .await
                .is_err()
            {
                tracing::warn!(
                    answers = streams.answering.len(),
                    "streams are closed before their last answers"
                );
            }
            streams.locked().values().for_each(|open| open.end.cancel());
        });
    }

    pub fn is_empty(&self) -> bool {
        self.locked().is_empty()
    }

    /// Closes the streams of the legacy transport; returns how many.
    pub fn close_legacy(&self) -> usize {
        let open = self.locked();
        let legacy = open.values().filter(|open| open.connection.transport == SSE);
        legacy.inspect(|open| open.end.cancel()).count()
    }

    fn close_all_of(&self, agent: &AgentId) {
        for open in self.locked().values().filter(|open| &open.connection.agent == agent) {
            open.end.cancel();
        }
    }

    /// Takes the entry away with its socket.
    pub fn forget(&self, id: &str, agent: &AgentId) {
        if let Some(open) = self.locked().remove(id) {
            open.end.cancel();
        }
        self.requests.abandon(id);
        let (kv, id, agent) = (self.comms.kv.clone(), id.to_owned(), agent.clone());
        // Should this fail, the entry ends by itself.
        self.lifecycle.work().spawn(async move {
            let removed = kv.delete(&keys::connection(&id)).await;
            let removed = removed.and(kv.remove_member(&keys::agent_connections(&agent), &id).await);
            if let Err(error) = removed {
                tracing::debug!(%error, "the entry of a closed stream stays until it expires");
            }
        });
    }

    pub(super) fn locked(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "the registry of streams does not answer");
    Failure::unavailable("streams can't be opened right now")
}
