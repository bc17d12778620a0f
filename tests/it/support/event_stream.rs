//! A stream of server-sent events, read one at a time.

use futures::{StreamExt as _, stream::BoxStream};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use sse_stream::{Sse, SseStream};

use super::within_timeout;

pub struct EventStream(BoxStream<'static, Result<Sse, sse_stream::Error>>);

impl EventStream {
    pub async fn open(request: RequestBuilder) -> Self {
        let response = within_timeout("an event stream", request.header("accept", "text/event-stream").send()).await;
        let response = response.expect("a response");
        assert_eq!(response.status(), 200, "the event stream was rejected");
        Self::read(response)
    }

    pub fn read(response: Response) -> Self {
        Self(SseStream::from_bytes_stream(response.bytes_stream()).boxed())
    }

    /// Reads the next event. Returns `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Sse> {
        within_timeout("an event", self.0.next()).await?.ok()
    }

    /// Reads the next JSON-RPC message. Skips events without data, which only carry resume positions.
    pub async fn message(&mut self) -> Value {
        loop {
            let event = self.next().await.expect("a message, not the end");
            let data = event.data.unwrap_or_default();
            if !data.is_empty() {
                return serde_json::from_str(&data).expect("JSON");
            }
        }
    }

    /// Reads until the stream ends.
    pub async fn read_to_end(mut self) {
        within_timeout("the end of a stream", async {
            while let Some(Ok(_)) = self.0.next().await {}
        })
        .await;
    }
}
