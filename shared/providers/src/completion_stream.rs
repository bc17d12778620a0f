//! Streamed completions of language models: one request, server-sent events, a time limit on each wait. Dropping the
//! stream drops the HTTP response and closes the connection, so the vendor notices at once.

use std::{io, time::Duration};

use butt_dial_domain::ports::model::{CompletionChunk, CompletionStream, FinishReason, ModelError};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use reqwest::header;
use sse_stream::{Sse, SseStream};
use tokio::time::timeout;

use crate::http;

/// A spoken reply has some dozens of events with some hundred bytes each.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;
/// The body ends with the last event or right after it. Reading the end lets the pool reuse the connection.
const LINGER: Duration = Duration::from_millis(50);

/// Parses the events of one vendor, in order.
pub trait EventReader: Send + 'static {
    /// Returns the chunk that the event adds, if any.
    fn read(&mut self, event: &Sse) -> Result<Option<CompletionChunk>, ModelError>;

    /// Returns the finish reason at the end of the stream, for vendors that send no final event.
    fn ended(&mut self) -> Option<FinishReason> {
        None
    }
}

/// Sends the request. `refuse` maps a response that is not 2xx. `silence` limits each wait: from the request to the
/// response head, then between two chunks.
pub async fn request(
    request: reqwest::RequestBuilder,
    silence: Duration,
    refuse: fn(&http::Response) -> ModelError,
    reader: impl EventReader,
) -> Result<CompletionStream, ModelError> {
    let opening = async {
        let response = request.send().await.map_err(|error| error_of(&error))?;
        if !response.status().is_success() {
            let (response, _) = http::read_response(response, MAX_RESPONSE_BYTES).await;
            return Err(refuse(&response));
        }
        Ok(response)
    };
    let response = timeout(silence, opening).await.map_err(|_| ModelError::Stalled)??;
    if !is_event_stream(&response) {
        // The response of a proxy or a captive portal.
        return Err(ModelError::Broken);
    }
    let events = SseStream::from_bytes_stream(bounded(response.bytes_stream())).boxed();
    let open = OpenStream { events, reader };
    let pieces = stream::unfold(Some(open), move |open| async move {
        let mut open = open?;
        match timeout(silence, open.next()).await {
            Err(_) => Some((Err(ModelError::Stalled), None)),
            Ok(Err(error)) => Some((Err(error), None)),
            Ok(Ok(CompletionChunk::End(ending))) => {
                open.linger().await;
                Some((Ok(CompletionChunk::End(ending)), None))
            }
            Ok(Ok(piece)) => Some((Ok(piece), Some(open))),
        }
    });
    Ok(pieces.boxed())
}

struct OpenStream<R> {
    events: BoxStream<'static, Result<Sse, sse_stream::Error>>,
    reader: R,
}

impl<R: EventReader> OpenStream<R> {
    async fn next(&mut self) -> Result<CompletionChunk, ModelError> {
        while let Some(event) = self.events.next().await {
            let event = event.map_err(|_| ModelError::Broken)?;
            if let Some(piece) = self.reader.read(&event)? {
                return Ok(piece);
            }
        }
        self.reader.ended().map(CompletionChunk::End).ok_or(ModelError::Broken)
    }

    async fn linger(&mut self) {
        let rest = async { while let Some(Ok(_)) = self.events.next().await {} };
        // After the time limit the connection is closed, which costs only a new connection.
        let _ = timeout(LINGER, rest).await;
    }
}

fn is_event_stream(response: &reqwest::Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE);
    kind.and_then(|kind| kind.to_str().ok())
        .is_some_and(|kind| kind.trim_start().starts_with("text/event-stream"))
}

/// Fails when the stream exceeds the size limit, because the SSE parser buffers an incomplete line without a limit.
fn bounded(
    chunks: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let mut total = 0;
    chunks.map(move |chunk| {
        let chunk = chunk.map_err(|error| io::Error::other(error.without_url()))?;
        total += chunk.len();
        if total > MAX_RESPONSE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        Ok(chunk)
    })
}

fn error_of(error: &reqwest::Error) -> ModelError {
    if error.is_connect() {
        ModelError::Unreachable
    } else if error.is_timeout() {
        ModelError::Stalled
    } else if error.is_builder() {
        ModelError::Configuration("a setting has characters that a request can't carry".to_owned())
    } else {
        ModelError::Broken
    }
}
