//! The body of a request, with deadlines: for each piece, and for the whole. A client that sends a part and stops would
//! otherwise hold the part in memory for ever, without a token or a signature. The rest of a body that a handler gave up is read
//! and dropped, within bounds: a client that still writes when the connection closes does not see the response.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::TaskTracker,
};

/// For the next piece.
const PIECE_TIMEOUT: Duration = Duration::from_secs(15);
/// For the whole body: 4 MiB within it are 90 kB/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(45);
/// For the rest of a body at shutdown: what was never received completely is no open work.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Bounds on the rest of a body that a handler gave up.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// The client did not send the body in time.
#[derive(Debug, thiserror::Error)]
#[error("the body was not received in time")]
pub(super) struct BodyTimedOut;

#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error(transparent)]
    TimedOut(#[from] BodyTimedOut),
    #[error(transparent)]
    Interrupted(#[from] hyper::Error),
}

struct TimedBody<B: Piecewise> {
    /// `None`: it has ended.
    inner: Option<B>,
    /// A handler has asked for a piece. Before that, the client may wait for `100 Continue`.
    is_begun: bool,
    opened: Instant,
    draining: CancellationToken,
    tasks: TaskTracker,
    /// Present while a piece is awaited: most bodies arrive with the head.
    wait: Option<Wait>,
}

struct Wait {
    deadline: Pin<Box<Sleep>>,
    drained: Pin<Box<WaitForCancellationFutureOwned>>,
    is_draining: bool,
}

/// A body in pieces of bytes.
trait Piecewise: HttpBody<Data = Bytes> + Send + Unpin + 'static {}

impl<B: HttpBody<Data = Bytes> + Send + Unpin + 'static> Piecewise for B {}

/// Adds the deadlines. The rest of the body is read in `tasks`.
pub(super) fn timed(body: Incoming, draining: &CancellationToken, tasks: &TaskTracker) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::new(TimedBody {
        inner: Some(body),
        is_begun: false,
        opened: Instant::now(),
        draining: draining.clone(),
        tasks: tasks.clone(),
        wait: None,
    })
}

impl<B: Piecewise> Drop for TimedBody<B> {
    fn drop(&mut self) {
        let Some(rest) = self.inner.take().filter(|rest| self.is_begun && !rest.is_end_stream()) else {
            return;
        };
        let draining = self.draining.clone();
        self.tasks.spawn(async move {
            let discarded = draining.run_until_cancelled(discard(rest));
            // A slower client loses the response.
            let _ = tokio::time::timeout(DISCARD_TIMEOUT, discarded).await;
        });
    }
}

async fn discard<B: Piecewise>(mut rest: B) {
    let mut remaining = MAX_DISCARDED_BYTES;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut rest).poll_frame(cx)).await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        match remaining.checked_sub(bytes) {
            Some(less) => remaining = less,
            None => return,
        }
    }
}

impl<B: Piecewise> TimedBody<B> {
    /// Waits for the deadline of the next piece. No piece has arrived.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (opened, draining) = (self.opened, &self.draining);
        let wait = self.wait.get_or_insert_with(|| Wait {
            deadline: Box::pin(sleep_until((Instant::now() + PIECE_TIMEOUT).min(opened + BODY_TIMEOUT))),
            drained: Box::pin(draining.clone().cancelled_owned()),
            is_draining: false,
        });
        if !wait.is_draining && wait.drained.as_mut().poll(cx).is_ready() {
            wait.is_draining = true;
            let limit = Instant::now() + DRAIN_TIMEOUT;
            if wait.deadline.deadline() > limit {
                wait.deadline.as_mut().reset(limit);
            }
        }
        wait.deadline.as_mut().poll(cx)
    }
}

impl<B: Piecewise> HttpBody for TimedBody<B>
where
    BodyError: From<B::Error>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.is_begun = true;
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) {
            self.wait = None;
            if !matches!(frame, Some(Ok(_))) {
                self.inner = None;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)));
        }
        ready!(self.poll_deadline(cx));
        self.inner = None;
        Poll::Ready(Some(Err(BodyTimedOut.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Sends the pieces after these pauses, and then stands still.
    struct Slow(VecDeque<u64>, Option<Pin<Box<Sleep>>>);

    impl HttpBody for Slow {
        type Data = Bytes;
        type Error = hyper::Error;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
            let Some(pause) = self.0.front().copied() else {
                return Poll::Pending;
            };
            let until = Instant::now() + Duration::from_secs(pause);
            let wait = self.1.get_or_insert_with(|| Box::pin(sleep_until(until))); // not a synchronisation: a slow client, on a paused clock
            ready!(wait.as_mut().poll(cx));
            self.0.pop_front();
            self.1 = None;
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"x")))))
        }
    }

    /// Returns the seconds until the body times out.
    async fn seconds(pauses: &[u64], draining: &CancellationToken) -> u64 {
        let opened = Instant::now();
        let mut body = TimedBody {
            inner: Some(Slow(pauses.iter().copied().collect(), None)),
            is_begun: false,
            opened,
            draining: draining.clone(),
            tasks: TaskTracker::new(),
            wait: None,
        };
        loop {
            match std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx))
                .await
                .expect("an endless body")
            {
                Ok(_) => {}
                Err(BodyError::TimedOut(_)) => return opened.elapsed().as_secs(),
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn body_times_out_for_each_piece_and_as_a_whole() {
        let running = CancellationToken::new();
        assert_eq!(seconds(&[], &running).await, PIECE_TIMEOUT.as_secs());
        assert_eq!(seconds(&[10, 10], &running).await, 20 + PIECE_TIMEOUT.as_secs());
        assert_eq!(seconds(&[10; 100], &running).await, BODY_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn half_sent_body_ends_soon_at_shutdown() {
        let draining = CancellationToken::new();
        draining.cancel();
        assert_eq!(seconds(&[], &draining).await, DRAIN_TIMEOUT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn rest_of_begun_body_is_discarded_within_bounds() {
        let tasks = TaskTracker::new();
        tasks.close();
        for (is_begun, expected) in [(false, 0), (true, DISCARD_TIMEOUT.as_secs())] {
            let started = Instant::now();
            drop(TimedBody {
                inner: Some(Slow(VecDeque::from([1, 1]), None)),
                is_begun,
                opened: started,
                draining: CancellationToken::new(),
                tasks: tasks.clone(),
                wait: None,
            });
            tasks.wait().await;
            assert_eq!(started.elapsed().as_secs(), expected);
        }
    }
}
