//! The handle on all push streams: opens them on this replica, finds and reaches them on any.

use std::time::Duration;

use butt_dial_domain::{AgentId, Failure, OrgId, ReplicaId, clock::Timestamp, ids};
use rmcp::model::ClientJsonRpcMessage;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    client_responses,
    connection::{ClientChange, ClientFlags, Connection, Reach},
    local_streams::LocalStreams,
    open_streams::SSE,
    push_stream::PushStream,
    session_registry::Session,
    stream_commands::{self, StreamCommand},
};

/// How long responses may take after the process starts to drain: a carrier's timeout with a margin.
const LAST_RESPONSES: Duration = Duration::from_secs(12);

/// Cheap to clone.
#[derive(Clone)]
pub struct StreamRelay {
    local: LocalStreams,
    /// Responses on their way to a stream. At the end of the process they are awaited before the streams are closed.
    responding: TaskTracker,
}

impl StreamRelay {
    pub(crate) fn new(local: LocalStreams) -> Self {
        Self {
            local,
            responding: TaskTracker::new(),
        }
    }

    pub fn replica(&self) -> &ReplicaId {
        &self.local.ports.replica
    }

    /// Runs work that must finish although its caller has gone.
    pub fn tasks(&self) -> &TaskTracker {
        &self.local.ports.tasks
    }

    /// Fires when this replica takes no new work.
    pub fn draining(&self) -> &CancellationToken {
        &self.local.ports.draining
    }

    pub fn now(&self) -> Timestamp {
        self.local.ports.clock.now()
    }

    /// Opens a stream of the legacy transport. Its id is the session's: `<replica>.<random>`.
    pub async fn open_sse(&self, agent: AgentId, org: OrgId, reach: Reach) -> Result<PushStream, Failure> {
        let connection = Connection {
            id: self.new_id(),
            agent,
            replica: self.replica().clone(),
            transport: SSE.into(),
            session: None,
            peer: None,
            flags: ClientFlags {
                reach,
                ..ClientFlags::default()
            },
        };
        self.local.register(connection, Some(org)).await
    }

    /// Opens a stream of a session. When the session is initialized, so is the stream, from now.
    pub async fn open_for_session(&self, session_id: &str, session: &Session) -> Result<PushStream, Failure> {
        let initialized = session.flags.initialized_at.map(|_| self.now());
        let connection = Connection {
            id: self.new_id(),
            agent: session.agent.clone(),
            replica: self.replica().clone(),
            transport: "streamable".into(),
            session: Some(session_id.to_owned()),
            peer: Some(session.peer.clone()),
            flags: ClientFlags {
                initialized_at: initialized,
                ..session.flags.clone()
            },
        };
        self.local.register(connection, session.org.clone()).await
    }

    fn new_id(&self) -> String {
        format!("{}.{}", self.replica(), ids::random())
    }

    /// Finds a stream on any replica.
    pub async fn find(&self, id: &str) -> Result<Option<Connection>, Failure> {
        match self.local.open.find(id) {
            Some(connection) => Ok(Some(connection)),
            None => self.local.registry.find(id).await,
        }
    }

    /// Lists the open streams of a session on all replicas.
    pub async fn list_for_session(&self, agent: &AgentId, session: &str) -> Result<Vec<Connection>, Failure> {
        self.local.registry.list_for_session(agent, session).await
    }

    /// Returns a token that fires when the stream is closed. For a stream of another replica it never fires.
    pub fn closed(&self, connection: &Connection) -> CancellationToken {
        self.local.open.find_end(&connection.id).unwrap_or_else(|| {
            let closed = CancellationToken::new();
            if &connection.replica == self.replica() {
                closed.cancel();
            }
            closed
        })
    }

    /// Sends a message to the stream on any replica. Returns false when the stream is gone.
    pub async fn push(&self, connection: &Connection, message: String) -> bool {
        stream_commands::send(&self.local, connection, StreamCommand::Message(message)).await
    }

    /// Closes the stream on any replica. A client that waits for a response notices it at once.
    pub async fn close(&self, connection: &Connection) {
        stream_commands::send(&self.local, connection, StreamCommand::Close).await;
    }

    /// Applies a change to the stream on any replica. Only the replica that holds the socket writes the entry.
    pub async fn update(&self, connection: &Connection, change: ClientChange) {
        let is_new = connection.clone().apply(&change);
        if is_new && !stream_commands::send(&self.local, connection, StreamCommand::Change(change)).await {
            tracing::info!("stream flags not updated: stream gone or registry unavailable");
        }
    }

    /// Applies a change to a stream of this replica. Returns false when the stream is gone or the entry was not written.
    pub async fn update_local(&self, id: &str, agent: &AgentId, change: &ClientChange) -> bool {
        self.local.update(id, agent, change).await
    }

    /// Forwards a client's response to the replica that waits for it. Ignores a message that is no response.
    pub async fn forward_response(&self, agent: &AgentId, reach: Reach, message: ClientJsonRpcMessage) {
        client_responses::forward(&self.local, agent, reach, message).await;
    }

    /// Runs the work that sends a response to a stream.
    pub fn spawn_response(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.responding.spawn(work);
    }

    pub fn is_empty(&self) -> bool {
        self.local.open.is_empty()
    }

    /// Closes this replica's streams of the legacy transport. Returns how many.
    pub fn close_legacy(&self) -> usize {
        self.local.open.end_legacy()
    }

    /// Writes this replica's registry entries again when the key-value store has lost them.
    pub async fn restore_lost_entries(&self) {
        self.local.restore_lost_entries().await;
    }

    /// Closes all streams once the process drains and the last responses are sent.
    pub(crate) async fn run_shutdown(self) {
        self.draining().cancelled().await;
        self.responding.close();
        let last = tokio::time::timeout(LAST_RESPONSES, self.responding.wait()).await;
        if last.is_err() {
            tracing::warn!(
                responses = self.responding.len(),
                "streams closed before their last responses"
            );
        }
        self.local.open.end_all();
    }
}
