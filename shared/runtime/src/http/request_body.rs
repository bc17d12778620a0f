//! The body of a request, with deadlines: for each piece, and for the whole. A client that sends a part and stops would
//! otherwise hold the part in memory for ever, without a token or a signature.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// For the next piece.
const PIECE_TIMEOUT: Duration = Duration::from_secs(15);
/// For the whole body: 4 MiB within it are 90 kB/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(45);
/// For the rest of a body at shutdown: what was never received completely is no open work.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

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

struct TimedBody<B> {
    inner: B,
    opened: Instant,
    draining: CancellationToken,
    /// Present while a piece is awaited: most bodies arrive with the head.
    wait: Option<Wait>,
}

struct Wait {
    deadline: Pin<Box<Sleep>>,
    drained: Pin<Box<WaitForCancellationFutureOwned>>,
    is_draining: bool,
}

/// Adds the deadlines.
pub(super) fn timed(body: Incoming, draining: &CancellationToken) -> Body {
    if body.is_end_stream() {
        return Body::empty();
    }
    Body::new(TimedBody {
        inner: body,
        opened: Instant::now(),
        draining: draining.clone(),
        wait: None,
    })
}

impl<B> TimedBody<B> {
    /// Waits for the deadline of the next piece. Nothing of the body has arrived.
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

impl<B> HttpBody for TimedBody<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    BodyError: From<B::Error>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(cx) {
            self.wait = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(BodyError::from)));
        }
        self.poll_deadline(cx).map(|()| Some(Err(BodyTimedOut.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
