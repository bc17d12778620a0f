//! A response body that runs the hooks of an operation when its last byte has been passed to the socket, and never when it
//! is dropped before.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::header,
    response::Response,
};
use butt_dial_operations::OnResponseSent;
use futures::{Stream, StreamExt};
use tokio_util::task::TaskTracker;

const RESULT: &[u8] = b"\"result\"";

/// Runs the hooks once the response is sent.
pub fn watch(response: Response, hooks: OnResponseSent, tasks: TaskTracker) -> Response {
    let (mut parts, body) = response.into_parts();
    // With a known length the server does not poll the body again after the last chunk.
    parts.headers.remove(header::CONTENT_LENGTH);
    let watched = WatchedBody {
        body: body.into_data_stream(),
        is_result_sent: false,
        is_flushing: false,
        hooks,
        tasks,
    };
    Response::from_parts(parts, Body::from_stream(watched))
}

struct WatchedBody {
    body: BodyDataStream,
    /// The result has passed. The stream may continue, but clients disconnect as soon as they have the result.
    is_result_sent: bool,
    is_flushing: bool,
    hooks: OnResponseSent,
    tasks: TaskTracker,
}

impl Stream for WatchedBody {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.body.poll_next_unpin(context);
        match &polled {
            Poll::Ready(Some(Ok(chunk))) => {
                // Operations register hooks before they return, so a chunk that passes without hooks is no result.
                self.is_result_sent |= !self.hooks.is_empty() && has_result(chunk);
                return polled;
            }
            Poll::Ready(Some(Err(_))) => return polled,
            Poll::Ready(None) if self.hooks.is_empty() => return polled,
            Poll::Ready(None) => {}
            Poll::Pending if self.is_result_sent && !self.hooks.is_empty() => {}
            Poll::Pending => return polled,
        }
        if !std::mem::replace(&mut self.is_flushing, true) {
            // The server writes its buffer before it polls again. When the write fails, it drops the body.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.hooks.run(&self.tasks);
        polled
    }
}

/// Returns whether the chunk holds a JSON-RPC result, alone or as an event of a stream.
fn has_result(chunk: &[u8]) -> bool {
    chunk.windows(RESULT.len()).any(|part| part == RESULT)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use axum::response::IntoResponse;

    use super::*;

    fn response_with_hook() -> (Response, TaskTracker, Arc<AtomicBool>) {
        let (hooks, tasks, ran) = (
            OnResponseSent::default(),
            TaskTracker::new(),
            Arc::new(AtomicBool::new(false)),
        );
        let mark = ran.clone();
        hooks.then(async move { mark.store(true, Ordering::Relaxed) });
        (watch("words".into_response(), hooks, tasks.clone()), tasks, ran)
    }

    #[tokio::test]
    async fn runs_hooks_after_body_is_read() {
        let (response, tasks, ran) = response_with_hook();
        assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
        let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(body, "words");
        tasks.close();
        tasks.wait().await;
        assert!(ran.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn runs_hooks_after_result_in_open_stream() {
        let (hooks, tasks, ran) = (
            OnResponseSent::default(),
            TaskTracker::new(),
            Arc::new(AtomicBool::new(false)),
        );
        let mark = ran.clone();
        hooks.then(async move { mark.store(true, Ordering::Relaxed) });
        let events = [": hello\n\n", "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n"];
        let events = futures::stream::iter(events.map(Ok::<_, axum::Error>)).chain(futures::stream::pending());
        let response = watch(Body::from_stream(events).into_response(), hooks, tasks.clone());
        let mut body = response.into_body().into_data_stream();
        for _ in 0..2 {
            body.next().await.unwrap().unwrap();
            assert!(
                !ran.load(Ordering::Relaxed) && tasks.is_empty(),
                "hooks wait for the write"
            );
        }
        let waited = tokio::time::timeout(std::time::Duration::from_millis(50), body.next()).await;
        assert!(waited.is_err(), "the stream stays open");
        tasks.close();
        tasks.wait().await;
        assert!(ran.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn skips_hooks_when_reader_disconnects() {
        let (response, tasks, ran) = response_with_hook();
        let mut body = response.into_body().into_data_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "words");
        drop(body);
        tasks.close();
        tasks.wait().await;
        assert!(!ran.load(Ordering::Relaxed));
    }
}
