//! The push streams whose sockets this replica holds, and their entries in the shared registry, by which any replica
//! finds them. An idle stream is a socket, a channel and an entry: nothing else is kept for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_comms::Comms;
use butt_dial_domain::{
    AgentId, Failure, ReplicaId, ids, keys,
    ports::{
        bus::{Headers, Message},
        kv::KvError,
    },
    subjects,
};
use butt_dial_runtime::{Lifecycle, platform::StartError, telemetry::trace};
use futures::StreamExt;
use rmcp::model::InitializeRequestParams;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use super::{push_stream::PushStream, sessions::Session};

/// An entry that is not renewed for this long belongs to a replica that is gone.
const TTL: Duration = Duration::from_secs(45);
const BEAT: Duration = Duration::from_secs(15);
/// Messages that a slow reader may lag behind; then its stream is closed, and it comes back and reads the log.
const QUEUE: usize = 64;
/// An answer that a replica has to bring to another replica's socket.
const PUSH_DEADLINE: Duration = Duration::from_secs(5);

/// How long answers may take once the process is to end: a carrier's deadline, and a little.
const LAST_ANSWERS: Duration = Duration::from_secs(12);

/// The legacy transport, in the registry.
const SSE: &str = "sse";

/// What the registry says of an open stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    pub id: String,
    pub agent: AgentId,
    pub replica: ReplicaId,
    /// `streamable` or `sse`.
    pub transport: String,
    /// The session of a streamable connection.
    pub session: Option<String>,
    /// What the client said of itself; unknown until it has.
    pub peer: Option<InitializeRequestParams>,
}

struct Open {
    connection: Connection,
    messages: mpsc::Sender<String>,
    end: CancellationToken,
}

#[derive(Clone)]
pub struct Streams {
    comms: Comms,
    lifecycle: Lifecycle,
    open: Arc<Mutex<HashMap<String, Open>>>,
    /// Answers on their way to a stream: at the end they are waited for before the streams are closed.
    answering: TaskTracker,
}

#[derive(Serialize, Deserialize)]
struct Push {
    connection: String,
    agent: AgentId,
    /// `None` closes the stream.
    message: Option<String>,
}

impl Streams {
    pub async fn start(comms: Comms, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        let streams = Self {
            comms,
            lifecycle: lifecycle.clone(),
            open: Arc::default(),
            answering: TaskTracker::new(),
        };
        streams.close_at_the_end();
        streams.answer_pushes().await?;
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
        };
        Ok((id, self.register(connection).await?))
    }

    pub async fn open_for_session(&self, session_id: &str, session: &Session) -> Result<PushStream, Failure> {
        self.register(Connection {
            id: format!("{}.{}", self.replica(), ids::random()),
            agent: session.agent.clone(),
            replica: self.replica().clone(),
            transport: "streamable".into(),
            session: Some(session_id.to_owned()),
            peer: Some(session.peer.clone()),
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

    /// Notes what a client said of itself, for whichever replica gets its next request.
    pub async fn introduce(&self, connection: &Connection, peer: InitializeRequestParams) -> Result<(), Failure> {
        let connection = Connection {
            peer: Some(peer),
            ..connection.clone()
        };
        self.write(&connection).await?;
        if let Some(open) = self.locked().get_mut(&connection.id) {
            open.connection = connection;
        }
        Ok(())
    }

    /// Brings a message to the socket, wherever it is. False when the stream is gone.
    pub async fn push(&self, connection: &Connection, message: String) -> bool {
        self.reach(connection, Some(message)).await
    }

    /// Closes the stream, wherever it is: its client learns that something went wrong instead of waiting.
    pub async fn close(&self, connection: &Connection) {
        self.reach(connection, None).await;
    }

    async fn reach(&self, connection: &Connection, message: Option<String>) -> bool {
        if &connection.replica == self.replica() {
            return self.push_here(&connection.id, &connection.agent, message);
        }
        let push = Push {
            connection: connection.id.clone(),
            agent: connection.agent.clone(),
            message,
        };
        let Ok(payload) = serde_json::to_vec(&push) else {
            return false;
        };
        let subject = subjects::push(&connection.replica);
        match self
            .comms
            .bus
            .request(&subject, trace::headers(), payload.into(), PUSH_DEADLINE)
            .await
        {
            Ok(answer) => answer.payload.as_ref() == b"1",
            Err(error) => {
                tracing::info!(%error, "the replica that holds a stream is gone");
                false
            }
        }
    }

    fn push_here(&self, id: &str, agent: &AgentId, message: Option<String>) -> bool {
        let mut open = self.locked();
        let Some(stream) = open.get(id).filter(|stream| &stream.connection.agent == agent) else {
            return false;
        };
        let Some(message) = message else {
            stream.end.cancel();
            return true;
        };
        match stream.messages.try_send(message) {
            Ok(()) => true,
            Err(error) => {
                tracing::info!(%error, "a push stream is closed: its reader does not keep up, or is gone");
                open.remove(id);
                false
            }
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
        self.locked().insert(
            id.clone(),
            Open {
                connection,
                messages,
                end,
            },
        );
        Ok(PushStream::new(queue, ended, self.clone(), id, agent))
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
            let Some(connection) = self.locked().get(&id).map(|open| open.connection.clone()) else {
                continue;
            };
            let members = keys::agent_connections(&connection.agent);
            let written = self.write(&connection).await.is_ok();
            if !written || self.comms.kv.add_member(&members, &id, TTL * 4).await.is_err() {
                missed += 1;
            }
        }
        if missed > 0 {
            tracing::warn!(missed, "entries of open streams could not be renewed");
        }
    }

    async fn answer_pushes(&self) -> Result<(), StartError> {
        let pushes = self.comms.bus.subscribe(&subjects::push(self.replica())).await;
        let mut pushes = pushes.map_err(|error| StartError::Bus(error.to_string()))?;
        let (streams, drain) = (self.clone(), self.lifecycle.draining().clone());
        self.lifecycle.spawn(async move {
            while let Some(Some(message)) = drain.run_until_cancelled(pushes.next()).await {
                let span = tracing::debug_span!("push");
                trace::continue_from(&span, |name| message.headers.get(name).map(String::as_str));
                streams.answer_push(message).instrument(span).await;
            }
        });
        Ok(())
    }

    async fn answer_push(&self, message: Message) {
        let push: Option<Push> = serde_json::from_slice(&message.payload).ok();
        let done = push.is_some_and(|push| self.push_here(&push.connection, &push.agent, push.message));
        if let Some(reply_to) = message.reply_to {
            let answer = if done { "1" } else { "0" };
            if let Err(error) = self.comms.bus.publish(&reply_to, Headers::new(), answer.into()).await {
                tracing::warn!(%error, "a push could not be confirmed");
            }
        }
    }

    async fn watch_revocations(&self) -> Result<(), StartError> {
        let revoked = self.comms.bus.subscribe(subjects::TOKENS_REVOKED).await;
        let mut revoked = revoked.map_err(|error| StartError::Bus(error.to_string()))?;
        let (streams, drain) = (self.clone(), self.lifecycle.draining().clone());
        self.lifecycle.spawn(async move {
            while let Some(Some(message)) = drain.run_until_cancelled(revoked.next()).await {
                let agent = String::from_utf8_lossy(&message.payload).into_owned();
                streams.close_all_of(&AgentId::from(agent));
            }
        });
        Ok(())
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
        self.locked().remove(id);
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

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "the registry of streams does not answer");
    Failure::unavailable("streams can't be opened right now")
}
