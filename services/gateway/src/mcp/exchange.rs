//! One request, one answer: how a message of a session is run on whichever replica it reached.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;
use rmcp::{
    RoleServer,
    model::{ClientJsonRpcMessage, InitializeRequestParams, JsonRpcMessage, ServerJsonRpcMessage},
    service::{RunningService, serve_directly_with_ct},
    transport::Transport,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::handler::Handler;

/// Progress notifications may come before the answer; more than these wait until the client has read some.
const QUEUE: usize = 16;

/// Runs `message`. Dropping what comes back stops the exchange, but nothing that has side effects: that is the product's own.
pub fn run(handler: Handler, peer: Option<InitializeRequestParams>, message: ClientJsonRpcMessage) -> Answers {
    let (out, messages) = mpsc::channel(QUEUE);
    let transport = OneShot {
        message: Some(message),
        out,
        done: CancellationToken::new(),
    };
    let running = serve_directly_with_ct(handler, transport, peer, CancellationToken::new());
    Answers {
        messages,
        _running: running,
    }
}

/// Notifications and, last, the answer.
pub struct Answers {
    messages: mpsc::Receiver<ServerJsonRpcMessage>,
    _running: RunningService<RoleServer, Handler>,
}

impl Stream for Answers {
    type Item = ServerJsonRpcMessage;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<ServerJsonRpcMessage>> {
        self.messages.poll_recv(context)
    }
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
        let is_answer = matches!(item, JsonRpcMessage::Response(_) | JsonRpcMessage::Error(_));
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
