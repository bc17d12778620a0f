//! Buffers a request body up to a limit. A larger body is read to its end, within bounds, before the request is rejected.
//! `tower-http`'s limit layer is not used: it answers 413 while the client still writes, and the client then reports a broken
//! connection instead of the response.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::{Body, BodyDataStream},
    extract::{FromRequest, Request},
};
use butt_dial_domain::{Code, Failure};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

use super::request_body::BodyError;

/// Bounds on the discarded rest of a body that is too large.
const MAX_DISCARDED_BYTES: usize = 64 * 1024 * 1024;
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Extracts the full body, of at most `MAX` bytes.
pub struct FullBody<const MAX: usize>(pub Result<Bytes, BodyRejection>);

/// The reason why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyRejection {
    TooLarge,
    /// The connection ended before the body did.
    Interrupted,
    /// The client did not send the body in time.
    TimedOut,
}

impl BodyRejection {
    fn of(error: axum::Error) -> Self {
        match error.into_inner().downcast_ref::<BodyError>() {
            Some(BodyError::TimedOut(_)) => Self::TimedOut,
            _ => Self::Interrupted,
        }
    }
}

impl From<BodyRejection> for Failure {
    fn from(rejection: BodyRejection) -> Self {
        match rejection {
            BodyRejection::TooLarge => Self::new(Code::PayloadTooLarge, "the body is too large"),
            BodyRejection::Interrupted => Self::new(Code::InvalidArgument, "the body ended before its declared length"),
            BodyRejection::TimedOut => Self::new(Code::InvalidArgument, "the body was not received in time"),
        }
    }
}

impl<S: Sync, const MAX: usize> FromRequest<S> for FullBody<MAX> {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self(read_body(request.into_body(), MAX).await))
    }
}

/// Reads the full body, of at most `max` bytes.
pub async fn read_body(body: Body, max: usize) -> Result<Bytes, BodyRejection> {
    read(body.into_data_stream(), max).await
}

async fn read(mut body: BodyDataStream, max: usize) -> Result<Bytes, BodyRejection> {
    // Most bodies arrive in one chunk, which is returned without a copy.
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(BodyRejection::of)?;
        if first.len() + all.len() + chunk.len() > max {
            discard(body).await;
            return Err(BodyRejection::TooLarge);
        }
        if first.is_empty() && all.is_empty() {
            first = chunk;
            continue;
        }
        if all.is_empty() {
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

/// Reads and drops the rest of a body. A client that still writes when the connection closes does not see the response.
async fn discard(mut body: BodyDataStream) {
    let rest = async {
        let mut remaining = MAX_DISCARDED_BYTES;
        while let Some(Ok(chunk)) = body.next().await {
            match remaining.checked_sub(chunk.len()) {
                Some(less) => remaining = less,
                None => return,
            }
        }
    };
    // A slower client loses the response.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, rest).await;
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    async fn read_chunks(chunks: &'static [&'static str], max: usize) -> (Result<Bytes, BodyRejection>, usize) {
        let chunks_read = Arc::new(AtomicUsize::new(0));
        let count = chunks_read.clone();
        let chunks = futures::stream::iter(chunks).map(move |chunk| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes()))
        });
        let read = read(Body::from_stream(chunks).into_data_stream(), max).await;
        (read, chunks_read.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn joins_chunks() {
        assert_eq!(read_chunks(&[], 4).await.0.unwrap(), "");
        assert_eq!(read_chunks(&["abcd"], 4).await.0.unwrap(), "abcd");
        assert_eq!(read_chunks(&["ab", "", "c", "d"], 4).await.0.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn reads_too_large_body_to_its_end() {
        assert_eq!(
            read_chunks(&["ab", "cde", "f"], 4).await,
            (Err(BodyRejection::TooLarge), 3)
        );
    }

    #[tokio::test]
    async fn rejects_interrupted_body() {
        let chunks = [Ok(Bytes::from_static(b"ab")), Err(std::io::Error::other("gone"))];
        let body = Body::from_stream(futures::stream::iter(chunks)).into_data_stream();
        assert_eq!(read(body, 4).await, Err(BodyRejection::Interrupted));
    }
}
