//! rmcp's session manager, with nothing in it: a session is a record, a POST runs here, a GET is a push stream.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use butt_dial_comms::identity::Caller;
use butt_dial_domain::{AgentId, Failure, ids};
use futures::{Stream, StreamExt};
use http::request::Parts;
use rmcp::{
    RoleServer,
    model::{
        ClientJsonRpcMessage, ClientRequest, ErrorData, GetExtensions, InitializeRequestParams, JsonRpcMessage,
        ProtocolVersion, RequestId, ServerJsonRpcMessage, ServerResult,
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
    Tier,
    audience::Audience,
    connection::Change,
    exchange,
    handler::Handler,
    push_stream::PushStream,
    sessions::{Session, Sessions},
    sse::is_initialized,
};

/// A client whose request broke off asks again this soon.
const RETRY: Duration = Duration::from_millis(500);
/// An answer that comes so soon goes out in one piece. Should the connection break before, the client has no response at all,
/// and notices; later, it has the beginning of a stream, and has to be told how to go on.
const PROMPT: Duration = Duration::from_millis(100);
/// Between the replica and the request in the id of a priming event.
const SEPARATOR: char = '!';

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("no such session")]
    Unknown,
    #[error("the handshake is incomplete")]
    Handshake,
    #[error(transparent)]
    Failed(#[from] Failure),
}

pub struct Manager {
    tier: Tier,
    handler: Handler,
    /// Handshakes between `create_session` and `initialize_session`, a moment later on this same replica.
    handshakes: Mutex<HashMap<SessionId, Ends>>,
}

impl Manager {
    pub fn new(tier: Tier, handler: Handler) -> Self {
        Self {
            tier,
            handler,
            handshakes: Mutex::default(),
        }
    }

    async fn session(&self, id: &SessionId) -> Result<Arc<Session>, SessionError> {
        self.tier.sessions.find(id).await?.ok_or(SessionError::Unknown)
    }

    async fn open_stream(&self, id: &SessionId) -> Result<PushStream, SessionError> {
        let (sessions, streams) = (&self.tier.sessions, &self.tier.streams);
        let session = self.session(id).await?;
        let stream = streams.open_for_session(id, &session).await?;
        // Whatever was noted meanwhile did not find this stream yet.
        if let Some(newer) = sessions.read(id).await? {
            for change in session.marks.changes_to(&newer.marks, streams.now()) {
                streams.note_here(stream.id(), &session.agent, &change).await;
            }
        }
        Ok(stream)
    }
}

type Ends = (mpsc::Sender<ClientJsonRpcMessage>, mpsc::Receiver<ServerJsonRpcMessage>);

/// Carries the handshake and nothing else.
pub struct Handshake {
    requests: mpsc::Receiver<ClientJsonRpcMessage>,
    answers: mpsc::Sender<ServerJsonRpcMessage>,
}

impl Transport<RoleServer> for Handshake {
    type Error = exchange::Gone;

    fn send(
        &mut self,
        item: ServerJsonRpcMessage,
    ) -> impl Future<Output = Result<(), exchange::Gone>> + Send + 'static {
        let answers = self.answers.clone();
        async move { answers.send(item).await.map_err(|_| exchange::Gone) }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        self.requests.recv().await
    }

    async fn close(&mut self) -> Result<(), exchange::Gone> {
        Ok(())
    }
}

impl SessionManager for Manager {
    type Error = SessionError;
    type Transport = Handshake;

    async fn create_session(&self) -> Result<(SessionId, Handshake), SessionError> {
        let id: SessionId = ids::random().into();
        let (to_server, requests) = mpsc::channel(2);
        let (answers, from_server) = mpsc::channel(2);
        let mut handshakes = self.handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        handshakes.insert(id.clone(), (to_server, from_server));
        Ok((id, Handshake { requests, answers }))
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
        let (agent, mut peer) = introduced(&message).ok_or(SessionError::Handshake)?;
        to_server.send(message).await.map_err(|_| SessionError::Handshake)?;
        let answer = from_server.recv().await.ok_or(SessionError::Handshake)?;
        if let JsonRpcMessage::Response(response) = &answer
            && let ServerResult::InitializeResult(result) = &response.result
        {
            peer.protocol_version = result.protocol_version.clone();
            self.tier.sessions.create(id, agent, peer).await?;
        }
        Ok(answer)
    }

    async fn has_session(&self, id: &SessionId) -> Result<bool, SessionError> {
        Ok(self.tier.sessions.find(id).await?.is_some())
    }

    /// Called when the handshake's loop ends, which ends nothing. A DELETE arrives at `DeleteHook`.
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
                Some(ServerSseMessage::priming(event_id(&self.tier, &request.id), RETRY))
            }
            _ => None,
        };
        let mut answers = exchange::run(self.handler.clone(), Some(&session.peer), message);
        let first = match timeout(PROMPT, answers.next()).await {
            Ok(first) => first.map(ServerSseMessage::from_message),
            Err(_) => priming,
        };
        Ok(Events {
            first,
            rest: Box::pin(answers.map(ServerSseMessage::from_message)),
        })
    }

    /// The client is ready, or answers a request of ours. Nothing else changes anything: sends can't be taken back.
    async fn accept_message(&self, id: &SessionId, message: ClientJsonRpcMessage) -> Result<(), SessionError> {
        match message {
            JsonRpcMessage::Notification(notification) if is_initialized(&notification.notification) => {
                let initialized = Change::Initialized(self.tier.streams.now());
                self.tier
                    .audiences
                    .note(&Audience::Session(id.to_string()), initialized)
                    .await;
            }
            answer @ (JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_)) => {
                let session = self.session(id).await?;
                self.tier.streams.bring_answer(&session.agent, answer).await;
            }
            _ => {}
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

    /// A stream that broke before its answer: the client learns it at once instead of waiting for its time-out.
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
            let error = ErrorData::internal_error("interrupted; repeat the call with the same idempotencyKey", None);
            let answer = ServerJsonRpcMessage::error(error, Some(request));
            return Ok(Events {
                first: Some(ServerSseMessage::from_message(answer)),
                rest: Box::pin(futures::stream::empty()),
            });
        }
        Ok(Events {
            first: None,
            rest: Box::pin(push_events(self.open_stream(id).await?)),
        })
    }
}

/// Who introduces itself, and how.
fn introduced(message: &ClientJsonRpcMessage) -> Option<(AgentId, InitializeRequestParams)> {
    let JsonRpcMessage::Request(request) = message else {
        return None;
    };
    let ClientRequest::InitializeRequest(initialize) = &request.request else {
        return None;
    };
    let parts = initialize.extensions().get::<Parts>()?;
    let agent = parts.extensions.get::<Arc<Caller>>()?.principal.agent.clone()?;
    Some((agent, initialize.params.clone()))
}

/// Priming events came with the revision of 2025-11-25; older clients stumble over an event without data.
fn can_resume(version: &ProtocolVersion) -> bool {
    version.as_str() >= ProtocolVersion::V_2025_11_25.as_str()
}

fn event_id(tier: &Tier, request: &RequestId) -> String {
    let request = serde_json::to_string(request).unwrap_or_default();
    format!("{}{SEPARATOR}{request}", tier.streams.replica())
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

/// The one place where rmcp tells of an HTTP DELETE.
pub struct DeleteHook(pub Sessions);

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
