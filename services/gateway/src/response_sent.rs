//! Knowing that an answer was sent: its body runs what is to follow when the last of it has been handed to the socket, and
//! never when it is dropped before.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    body::{Body, BodyDataStream, Bytes},
    http::header,
    response::Response,
};
use futures::{Stream, StreamExt};
use tokio_util::task::TaskTracker;

use crate::operations::After;

const RESULT: &[u8] = b"\"result\"";

pub fn confirm(response: Response, after: After, tasks: TaskTracker) -> Response {
    let (mut parts, body) = response.into_parts();
    // With a known length the server would not come back to ask for more, and so would not tell that it is done.
    parts.headers.remove(header::CONTENT_LENGTH);
    let sent = Sent {
        body: body.into_data_stream(),
        is_answered: false,
        is_flushing: false,
        after,
        tasks,
    };
    Response::from_parts(parts, Body::from_stream(sent))
}

struct Sent {
    body: BodyDataStream,
    /// The answer has gone by, though the stream that it came in may go on: clients hang up as soon as they have it.
    is_answered: bool,
    is_flushing: bool,
    after: After,
    tasks: TaskTracker,
}

impl Stream for Sent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.body.poll_next_unpin(context);
        match &polled {
            Poll::Ready(Some(Ok(chunk))) => {
                // What is to follow is known before its answer is; until then, only what begins a stream goes by.
                self.is_answered |= !self.after.is_empty() && is_answer(chunk);
                return polled;
            }
            Poll::Ready(Some(Err(_))) => return polled,
            // Nothing is to follow, so nobody has to know when the last of it has left.
            Poll::Ready(None) if self.after.is_empty() => return polled,
            Poll::Ready(None) => {}
            Poll::Pending if self.is_answered && !self.after.is_empty() => {}
            Poll::Pending => return polled,
        }
        if !std::mem::replace(&mut self.is_flushing, true) {
            // The server writes what it has before it asks again; should that fail, it drops the body instead.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.after.run(&self.tasks);
        polled
    }
}

/// Whether this is a JSON-RPC result, alone or as an event of a stream.
fn is_answer(chunk: &[u8]) -> bool {
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

    fn answer() -> (Response, TaskTracker, Arc<AtomicBool>) {
        let (after, tasks, ran) = (After::default(), TaskTracker::new(), Arc::new(AtomicBool::new(false)));
        let mark = ran.clone();
        after.then(async move { mark.store(true, Ordering::Relaxed) });
        (confirm("words".into_response(), after, tasks.clone()), tasks, ran)
    }

    #[tokio::test]
    async fn what_follows_runs_once_the_body_was_read() {
        let (response, tasks, ran) = answer();
        assert!(!response.headers().contains_key(header::CONTENT_LENGTH));
        let body = axum::body::to_bytes(response.into_body(), 100).await.unwrap();
        assert_eq!(body, "words");
        tasks.close();
        tasks.wait().await;
        assert!(ran.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn what_follows_an_answer_in_a_stream_does_not_wait_for_the_end_of_the_stream() {
        let (after, tasks, ran) = (After::default(), TaskTracker::new(), Arc::new(AtomicBool::new(false)));
        let mark = ran.clone();
        after.then(async move { mark.store(true, Ordering::Relaxed) });
        let events = [": hello\n\n", "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n"];
        let events = futures::stream::iter(events.map(Ok::<_, axum::Error>)).chain(futures::stream::pending());
        let response = confirm(Body::from_stream(events).into_response(), after, tasks.clone());
        let mut body = response.into_body().into_data_stream();
        for _ in 0..2 {
            body.next().await.unwrap().unwrap();
            assert!(
                !ran.load(Ordering::Relaxed) && tasks.is_empty(),
                "not before it was written"
            );
        }
        let waited = tokio::time::timeout(std::time::Duration::from_millis(50), body.next()).await;
        assert!(waited.is_err(), "the stream goes on");
        tasks.close();
        tasks.wait().await;
        assert!(ran.load(Ordering::Relaxed));
    }

    #[tokio::test]
    async fn what_follows_never_runs_when_the_reader_goes_away() {
        let (response, tasks, ran) = answer();
        let mut body = response.into_body().into_data_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "words");
        drop(body);
        tasks.close();
        tasks.wait().await;
        assert!(!ran.load(Ordering::Relaxed));
    }
}
