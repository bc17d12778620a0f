//! The socket's end of a push stream: what it reads, and what goes away with it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use butt_dial_domain::AgentId;
use futures::Stream;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::streams::Streams;

/// Ends when it is closed from outside, or when its reader is too slow. Takes its entry in the registry with it.
pub struct PushStream {
    queue: mpsc::Receiver<String>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    streams: Streams,
    id: String,
    agent: AgentId,
}

impl PushStream {
    pub fn new(
        queue: mpsc::Receiver<String>,
        closed: CancellationToken,
        streams: Streams,
        id: String,
        agent: AgentId,
    ) -> Self {
        Self {
            queue,
            closed: Box::pin(closed.cancelled_owned()),
            streams,
            id,
            agent,
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Stream for PushStream {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        if let Poll::Ready(message) = self.queue.poll_recv(context) {
            return Poll::Ready(message);
        }
        self.closed.as_mut().poll(context).map(|()| None)
    }
}

impl Drop for PushStream {
    fn drop(&mut self) {
        self.streams.forget(&self.id, &self.agent);
    }
}
