//! Runs one message of a session and streams its notifications and its response, on any replica.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use butt_dial_domain::Failure;
use futures::{FutureExt, Stream};
use rmcp::{
    RoleServer,
    model::{
        CallToolRequest, ClientJsonRpcMessage, ClientRequest, GetMeta, InitializeRequestParams, JsonRpcMessage,
        JsonRpcRequest, RequestId, ServerJsonRpcMessage,
    },
    service::{RunningService, serve_directly_with_ct},
    transport::Transport,
};
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned};

use butt_dial_sessions::RunningRequest;

use super::{event_stream::error_of, handler::Handler};

/// Progress notifications that may wait for the client to read them.
const QUEUE_LEN: usize = 16;

/// Runs `message` until `running` is cancelled, after which no response follows. Dropping the result cancels what waits for events; work that has started continues.
pub fn run(
    handler: Handler,
    peer: Option<&InitializeRequestParams>,
    message: ClientJsonRpcMessage,
    running: Option<RunningRequest>,
) -> Replies {
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
            let (out, messages) = mpsc::channel(QUEUE_LEN);
            let transport = OneShot {
                message: Some(message),
                out,
                done: CancellationToken::new(),
            };
            let _running = serve_directly_with_ct(handler, transport, peer.cloned(), CancellationToken::new());
            Source::Service { messages, _running }
        }
    };
    Replies {
        source: Some(source),
        cancelled: running.map(|running| Cancelled {
            fired: Box::pin(running.cancelled.clone().cancelled_owned()),
            _running: running,
        }),
    }
}

/// Returns whether a request carries no metadata, which requests progress or another protocol revision. A plain tool call
/// needs no service loop: it runs as a task, which continues when the client disconnects. Most calls are plain.
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
    match handler.call_plain_tool(request, gone).await {
        Ok(result) => JsonRpcMessage::response(result, id),
        Err(error) => JsonRpcMessage::error(error, Some(id)),
    }
}

/// Notifications, and the response as the last item.
pub struct Replies {
    /// `None` after the last item.
    source: Option<Source>,
    cancelled: Option<Cancelled>,
}

struct Cancelled {
    fired: Pin<Box<WaitForCancellationFutureOwned>>,
    _running: RunningRequest,
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

impl Stream for Replies {
    type Item = ServerJsonRpcMessage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ServerJsonRpcMessage>> {
        if let Some(cancelled) = &mut self.cancelled
            && cancelled.fired.poll_unpin(context).is_ready()
        {
            // Dropping it ends what waits.
            (self.source, self.cancelled) = (None, None);
        }
        let Some(source) = &mut self.source else {
            return Poll::Ready(None);
        };
        let polled = match source {
            Source::Call { id, call, .. } => call.poll_unpin(context).map(|response| {
                Some(response.unwrap_or_else(|error| {
                    tracing::error!(%error, "tool call task failed");
                    ServerJsonRpcMessage::error(error_of(&Failure::internal()), Some(id.clone()))
                }))
            }),
            Source::Service { messages, .. } => messages.poll_recv(context),
        };
        if let Poll::Ready(message) = &polled
            && message.as_ref().is_none_or(is_response)
        {
            (self.source, self.cancelled) = (None, None);
        }
        polled
    }
}

/// Returns whether the message is a response, after which nothing follows.
pub fn is_response(message: &ServerJsonRpcMessage) -> bool {
    matches!(message, JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_))
}

#[derive(Debug, thiserror::Error)]
#[error("the client has disconnected")]
pub struct Disconnected;

/// A transport that carries one message in, and ends after the response to it.
struct OneShot {
    message: Option<ClientJsonRpcMessage>,
    out: mpsc::Sender<ServerJsonRpcMessage>,
    done: CancellationToken,
}

impl Transport<RoleServer> for OneShot {
    type Error = Disconnected;

    fn send(&mut self, item: ServerJsonRpcMessage) -> impl Future<Output = Result<(), Disconnected>> + Send + 'static {
        let is_response = is_response(&item);
        let (out, done) = (self.out.clone(), self.done.clone());
        async move {
            let sent = out.send(item).await.map_err(|_| Disconnected);
            if is_response {
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

    async fn close(&mut self) -> Result<(), Disconnected> {
        self.done.cancel();
        Ok(())
    }
}
