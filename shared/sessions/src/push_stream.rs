//! The reader's end of a push stream.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::Stream;
use tokio::sync::mpsc;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::open_streams::StreamEnds;

type OnClose = Box<dyn FnOnce() + Send + Sync>;

/// Messages for a client. Ends when it is closed from outside or when its reader is too slow. Dropping it removes its
/// registry entry.
pub struct PushStream {
    messages: mpsc::Receiver<String>,
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
    id: String,
    on_close: Option<OnClose>,
}

impl PushStream {
    pub(crate) fn new(id: String, ends: StreamEnds, on_close: OnClose) -> Self {
        Self {
            messages: ends.messages,
            closed: Box::pin(ends.end.cancelled_owned()),
            id,
            on_close: Some(on_close),
        }
    }

    pub fn id(&self) -> &str {
        &self.id
    }
}

impl Stream for PushStream {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        if let Poll::Ready(message) = self.messages.poll_recv(context) {
            return Poll::Ready(message);
        }
        self.closed.as_mut().poll(context).map(|()| None)
    }
}

impl Drop for PushStream {
    fn drop(&mut self) {
        if let Some(on_close) = self.on_close.take() {
            on_close();
        }
    }
}
