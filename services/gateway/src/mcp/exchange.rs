//! One request, one answer: how a message of a session is run on whichever replica it reached.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{FutureExt, Stream};
use rmcp::{
    ErrorData, RoleServer,
    model::{
        CallToolRequest, ClientJsonRpcMessage, ClientRequest, GetMeta, InitializeRequestParams, JsonRpcMessage,
        JsonRpcRequest, RequestId, ServerJsonRpcMessage,
    },
    service::{RunningService, serve_directly_with_ct},
    transport::Transport,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::handler::Handler;

/// Progress notifications may come before the answer; more than these wait until the client has read some.
const QUEUE: usize = 16;

/// Runs `message`. Dropping what comes back tells what waits that nobody does any more; what has begun goes on.
pub fn run(handler: Handler, peer: Option<&InitializeRequestParams>, message: ClientJsonRpcMessage) -> Answers {
    let is_plain = is_plain(&message);
    let source = match message {
        JsonRpcMessage::Request(JsonRpcRequest {
            id,
            request: ClientRequest::CallToolRequest(request),
            ..
        }) if is_plain => {
            let gone = CancellationToken::new();
            let _gone = gone.clone().drop_guard();
            let tasks = handler.tasks().clone();
            let call = tasks.spawn(call(handler, id.clone(), request, gone));
            Source::Call { id, call, _gone }
        }
        message => {
            let (out, messages) = mpsc::channel(QUEUE);
            let transport = OneShot {
                message: Some(message),
                out,
                done: CancellationToken::new(),
            };
            let _running = serve_directly_with_ct(handler, transport, peer.cloned(), CancellationToken::new());
            Source::Service { messages, _running }
        }
    };
    Answers { source, is_over: false }
}

/// Whether a call of a tool brings no metadata, which would ask for progress or speak of another revision. Most calls don't;
/// they need no service loop of their own: a task, which goes on when the client hangs up, will do.
fn is_plain(message: &ClientJsonRpcMessage) -> bool {
    match message {
        JsonRpcMessage::Request(message) => message.request.get_meta().is_empty(),
        _ => false,
    }
}

async fn call(
    handler: Handler,
    id: RequestId,
    request: CallToolRequest,
    gone: CancellationToken,
) -> ServerJsonRpcMessage {
    match handler.call_plainly(request, gone).await {
        Ok(result) => JsonRpcMessage::response(result, id),
        Err(error) => JsonRpcMessage::error(error, Some(id)),
    }
}

/// Notifications and, last, the answer.
pub struct Answers {
    source: Source,
    is_over: bool,
}

enum Source {
    Call {
        id: RequestId,
        call: JoinHandle<ServerJsonRpcMessage>,
        _gone: DropGuard,
    },
    Service {
        messages: mpsc::Receiver<ServerJsonRpcMessage>,
        _running: RunningService<RoleServer, Handler>,
    },
}

impl Stream for Answers {
    type Item = ServerJsonRpcMessage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ServerJsonRpcMessage>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let polled = match &mut self.source {
            Source::Call { id, call, .. } => call.poll_unpin(context).map(|answer| {
                Some(answer.unwrap_or_else(|error| {
                    tracing::error!(%error, "a call of a tool ended without an answer");
                    ServerJsonRpcMessage::error(ErrorData::internal_error("the call failed", None), Some(id.clone()))
                }))
            }),
            Source::Service { messages, .. } => messages.poll_recv(context),
        };
        if let Poll::Ready(message) = &polled {
            self.is_over = message.as_ref().is_none_or(is_answer);
        }
        polled
    }
}

/// Nothing follows it.
pub fn is_answer(message: &ServerJsonRpcMessage) -> bool {
    matches!(message, JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_))
}

#[derive(Debug, thiserror::Error)]
#[error("the client is gone")]
pub struct Gone;

/// A transport that carries one message in, and ends after the answer to it.
struct OneShot {
    message: Option<ClientJsonRpcMessage>,
    out: mpsc::Sender<ServerJsonRpcMessage>,
    done: CancellationToken,
}

impl Transport<RoleServer> for OneShot {
    type Error = Gone;

    fn send(&mut self, item: ServerJsonRpcMessage) -> impl Future<Output = Result<(), Gone>> + Send + 'static {
        let is_answer = is_answer(&item);
        let (out, done) = (self.out.clone(), self.done.clone());
        async move {
            let sent = out.send(item).await.map_err(|_| Gone);
            if is_answer {
                done.cancel();
            }
            sent
        }
    }

    async fn receive(&mut self) -> Option<ClientJsonRpcMessage> {
        if let Some(message) = self.message.take() {
            return Some(message);
        }
        self.done.cancelled().await;
        None
    }

    async fn close(&mut self) -> Result<(), Gone> {
        self.done.cancel();
        Ok(())
    }
}
