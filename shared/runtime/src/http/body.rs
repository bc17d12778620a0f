//! Reading a body whole, up to a limit.

use std::{convert::Infallible, time::Duration};

use axum::{
    body::BodyDataStream,
    extract::{FromRequest, Request},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;

/// How much of what is too large is read on, and for how long.
const LINGER_BYTES: usize = 64 * 1024 * 1024;
const LINGER: Duration = Duration::from_secs(5);

/// The whole body, of at most `MAX` bytes.
pub struct Whole<const MAX: usize>(pub Result<Bytes, Unread>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    TooLarge,
    /// The client broke off.
    Broken,
}

impl<S: Sync, const MAX: usize> FromRequest<S> for Whole<MAX> {
    type Rejection = Infallible;

    async fn from_request(request: Request, _: &S) -> Result<Self, Infallible> {
        Ok(Self(read(request.into_body().into_data_stream(), MAX).await))
    }
}

async fn read(mut body: BodyDataStream, max: usize) -> Result<Bytes, Unread> {
    // Most come in one piece, which need not be copied.
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| Unread::Broken)?;
        if first.len() + all.len() + chunk.len() > max {
            linger(body).await;
            return Err(Unread::TooLarge);
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

/// A client that still writes while it is answered and hung up on sees a broken connection, and not the answer.
async fn linger(mut body: BodyDataStream) {
    let rest = async {
        let mut left = LINGER_BYTES;
        while let Some(Ok(chunk)) = body.next().await {
            match left.checked_sub(chunk.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    // Whoever takes longer does not get to hear why.
    let _ = tokio::time::timeout(LINGER, rest).await;
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use axum::body::Body;

    use super::*;

    async fn read_of(chunks: &'static [&'static str], max: usize) -> (Result<Bytes, Unread>, usize) {
        let taken = Arc::new(AtomicUsize::new(0));
        let count = taken.clone();
        let chunks = futures::stream::iter(chunks).map(move |chunk| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok::<_, Infallible>(Bytes::from_static(chunk.as_bytes()))
        });
        let read = read(Body::from_stream(chunks).into_data_stream(), max).await;
        (read, taken.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn pieces_are_put_together() {
        assert_eq!(read_of(&[], 4).await.0.unwrap(), "");
        assert_eq!(read_of(&["abcd"], 4).await.0.unwrap(), "abcd");
        assert_eq!(read_of(&["ab", "", "c", "d"], 4).await.0.unwrap(), "abcd");
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_and_yet_read_to_its_end() {
        assert_eq!(read_of(&["ab", "cde", "f"], 4).await, (Err(Unread::TooLarge), 3));
    }

    #[tokio::test]
    async fn what_breaks_off_is_nothing() {
        let chunks = [Ok(Bytes::from_static(b"ab")), Err(std::io::Error::other("gone"))];
        let body = Body::from_stream(futures::stream::iter(chunks)).into_data_stream();
        assert_eq!(read(body, 4).await, Err(Unread::Broken));
    }
}
