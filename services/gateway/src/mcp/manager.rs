//! rmcp's session manager without sessions in memory: a session is a record that all replicas share, a POST runs on this
//! replica, and a GET is a push stream.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use butt_dial_domain::{AgentId, Code, Failure, OrgId, ids};
use butt_dial_identity::Caller;
use butt_dial_operations::granted;
use butt_dial_sessions::{ClientChange, PushStream, Reach, Session, SessionRegistry};
use futures::{Stream, StreamExt};
use http::request::Parts;
use rmcp::{
    RoleServer,
    model::{
        ClientJsonRpcMessage, ClientRequest, GetExtensions, InitializeRequestParams, JsonRpcMessage, ProtocolVersion,
        RequestId, ServerJsonRpcMessage, ServerResult,
    },
    transport::{
        Transport,
        streamable_http_server::session::{
            ServerSseMessage, SessionId, SessionManager, SessionState, SessionStore, SessionStoreError,
        },
    },
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    client_ref::ClientRef, event_stream::error_of, exchange, handler::Handler, protocol::is_initialized,
    state::McpState,
};

/// Pause before a client resumes a broken response stream.
const RETRY: Duration = Duration::from_millis(500);
/// A response within this time is sent whole. A connection that breaks before leaves the client without a response, which
/// it notices. Later, the client has the beginning of a stream and needs a priming event to resume it.
const PROMPT_RESPONSE: Duration = Duration::from_millis(100);
/// Separates the replica from the request in the id of a priming event.
const SEPARATOR: char = '!';

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("the session does not exist")]
    Unknown,
    #[error("the handshake is incomplete")]
    Handshake,
    #[error(transparent)]
    Failed(#[from] Failure),
}

pub struct Manager {
    state: McpState,
    handler: Handler,
    /// Handshakes between `create_session` and `initialize_session`, which rmcp calls on the same replica.
    handshakes: Mutex<HashMap<SessionId, HandshakeEnds>>,
}

impl Manager {
    pub fn new(state: McpState, handler: Handler) -> Self {
        Self {
            state,
            handler,
            handshakes: Mutex::default(),
        }
    }

    async fn session(&self, id: &SessionId) -> Result<Arc<Session>, SessionError> {
        self.state
            .sessions
            .registry
            .find(id)
            .await?
            .ok_or(SessionError::Unknown)
    }

    async fn open_stream(&self, id: &SessionId) -> Result<PushStream, SessionError> {
        let (registry, streams) = (&self.state.sessions.registry, &self.state.sessions.streams);
        let session = self.session(id).await?;
        let stream = streams.open_for_session(id, &session).await?;
        // Changes made since the session was read did not find this stream.
        if let Some(newer) = registry.read(id).await? {
            for change in session.flags.changes_to(&newer.flags, streams.now()) {
                streams.update_local(stream.id(), &session.agent, &change).await;
            }
        }
        Ok(stream)
    }
}

type HandshakeEnds = (mpsc::Sender<ClientJsonRpcMessage>, mpsc::Receiver<ServerJsonRpcMessage>);

/// A transport that carries only the handshake.
pub struct Handshake {
    requests: mpsc::Receiver<ClientJsonRpcMessage>,
    responses: mpsc::Sender<ServerJsonRpcMessage>,
}

impl Transport<RoleServer> for Handshake {
    type Error = exchange::Disconnected;

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), exchange::Disconnected>> + Send + 'static {
        let responses = self.responses.clone();
        async move { responses.send(item).await.map_err(|_| exchange::Disconnected) }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        self.requests.recv().await
    }

    async fn close(&mut self) -> Result<(), exchange::Disconnected> {
        Ok(())
    }
}

impl SessionManager for Manager {
    type Error = SessionError;
    type Transport = Handshake;

    async fn create_session(&self) -> Result<(SessionId, Handshake), SessionError> {
        let id: SessionId = ids::random().into();
        let (to_server, requests) = mpsc::channel(2);
        let (responses, from_server) = mpsc::channel(2);
        let mut handshakes = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        handshakes.insert(id.clone(), (to_server, from_server));
        Ok((id, Handshake { requests, responses }))
    }

    /// The record is written before the client learns the session's id.
    async fn initialize_session(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<ServerJsonRpcMessage, SessionError> {
        let ends = self
            .handshakes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        let (to_server, mut from_server) = ends.ok_or(SessionError::Handshake)?;
        let (agent, reach, mut peer) = introduction(&message).ok_or(SessionError::Handshake)?;
        to_server.send(message).await.map_err(|_| SessionError::Handshake)?;
        let reply = from_server.recv().await.ok_or(SessionError::Handshake)?;
        if let JsonRpcMessage::Response(response) = &reply
            && let ServerResult::InitializeResult(result) = &response.result
        {
            peer.protocol_version = result.protocol_version.clone();
            self.state.sessions.registry.create(id, agent, reach, peer).await?;
        }
        Ok(reply)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, SessionError> {
        Ok(self.state.sessions.registry.find(id).await?.is_some())
    }

    /// Does nothing: rmcp calls it when the handshake's loop ends. A DELETE reaches `DeleteHook`.
    async fn close_session(&self, _: &SessionId) -> Result<(), SessionError> {
        Ok(())
    }

    async fn create_stream(
        &self,
        id: &SessionId,
        message: ClientJsonRpcMessage,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        let session = self.session(id).await?;
        let priming = match &message {
            JsonRpcMessage::Request(request) if can_resume(&session.peer.protocol_version) => {
                Some(ServerSseMessage::priming(event_id(&self.state, &request.id), RETRY))
            }
            _ => None,
        };
        let running = self.state.clients.register_request(id, &message);
        let mut replies = exchange::run(self.handler.clone(), Some(&session.peer), message, running);
        let first = match timeout(PROMPT_RESPONSE, replies.next()).await {
            Ok(first) => first.map(ServerSseMessage::from_message),
            Err(_) => priming,
        };
        Ok(Events {
            first,
            rest: Box::pin(replies.map(ServerSseMessage::from_message)),
        })
    }

    /// Accepts notifications and responses to the server's requests. `notifications/cancelled` ends what waits; a send can't
    /// be cancelled.
    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), SessionError> {
        match message {
            JsonRpcMessage::Notification(notification) if is_initialized(&notification.notification) => {
                let initialized = ClientChange::Initialized(self.state.sessions.streams.now());
                let client = ClientRef::Session(id.to_string());
                self.state.clients.update(&client, initialized).await;
            }
            JsonRpcMessage::Notification(notification) => {
                self.state.clients.cancel_request(id, &notification.notification).await;
            }
            response @ (JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_)) => {
                let session = self.session(id).await?;
                let streams = &self.state.sessions.streams;
                streams
                    .forward_response(&session.agent, session.flags.reach, response)
                    .await;
            }
            JsonRpcMessage::Request(_) => {}
        }
        Ok(())
    }

    async fn create_standalone_stream(
        &self,
        id: &SessionId,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        Ok(Events {
            first: None,
            rest: Box::pin(push_events(self.open_stream(id).await?)),
        })
    }

    /// Answers a response stream that broke with an error at once, so that the client does not wait for its timeout.
    async fn resume(
        &self,
        id: &SessionId,
        last_event_id: String,
    ) -> Result<impl Stream<Item = ServerSseMessage> + Send + Sync + 'static, SessionError> {
        let interrupted = last_event_id
            .split_once(SEPARATOR)
            .and_then(|(_, id)| serde_json::from_str::<RequestId>(id).ok());
        if let Some(request) = interrupted {
            self.session(id).await?;
            let failure = Failure::new(
                Code::Internal,
                "the connection broke before the response was sent; repeat the call with the same idempotencyKey",
            );
            let reply = ServerJsonRpcMessage::error(error_of(&failure), Some(request));
            return Ok(Events {
                first: Some(ServerSseMessage::from_message(reply)),
                rest: Box::pin(futures::stream::empty()),
            });
        }
        Ok(Events {
            first: None,
            rest: Box::pin(push_events(self.open_stream(id).await?)),
        })
    }
}

/// Returns the agent of an `initialize` request with its organization, what may be pushed to it, and the client's introduction.
fn introduction(message: &ClientJsonRpcMessage) -> Option<((AgentId, Option<OrgId>), Reach, InitializeRequestParams)> {
    let JsonRpcMessage::Request(request) = message else {
        return None;
    };
    let ClientRequest::InitializeRequest(initialize) = &request.request else {
        return None;
    };
    let parts = initialize.extensions().get::<Parts>()?;
    let caller = parts.extensions.get::<Arc<Caller>>()?;
    let principal = &caller.principal;
    let agent = principal.agent.clone()?;
    let reach = granted::reach(caller);
    Some(((agent, principal.org.clone()), reach, initialize.params.clone()))
}

/// Priming events came with the revision of 2025-11-25. Older clients fail on an event without data.
fn can_resume(version: &ProtocolVersion) -> bool {
    version.as_str() >= ProtocolVersion::V_2025_11_25.as_str()
}

fn event_id(state: &McpState, request: &RequestId) -> String {
    let request = serde_json::to_string(request).unwrap_or_default();
    format!("{}{SEPARATOR}{request}", state.sessions.streams.replica())
}

fn push_events(stream: PushStream) -> impl Stream<Item = ServerSseMessage> + Send + Sync {
    stream.filter_map(|text| {
        let message = serde_json::from_str::<ServerJsonRpcMessage>(&text).ok();
        std::future::ready(message.map(ServerSseMessage::from_message))
    })
}

struct Events {
    first: Option<ServerSseMessage>,
    rest: Pin<Box<dyn Stream<Item = ServerSseMessage> + Send + Sync>>,
}

impl Stream for Events {
    type Item = ServerSseMessage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ServerSseMessage>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(first)),
            None => self.rest.poll_next_unpin(context),
        }
    }
}

/// Receives HTTP DELETE: rmcp reports it only to a session store.
pub struct DeleteHook(pub SessionRegistry);

#[async_trait::async_trait]
impl SessionStore for DeleteHook {
    async fn load(&self, _: &str) -> Result<Option<SessionState>, SessionStoreError> {
        Ok(None)
    }

    async fn store(&self, _: &str, _: &SessionState) -> Result<(), SessionStoreError> {
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<(), SessionStoreError> {
        self.0.close(id).await.map_err(SessionStoreError::from)
    }
}
