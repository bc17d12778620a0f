//! A stream of server-sent events, read one by one.

use futures::{StreamExt as _, stream::BoxStream};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use sse_stream::{Sse, SseStream};

use super::in_time;

pub struct EventStream(BoxStream<'static, Result<Sse, sse_stream::Error>>);

impl EventStream {
    pub async fn open(request: RequestBuilder) -> Self {
        let response = in_time("an event stream", request.header("accept", "text/event-stream").send()).await;
        let response = response.expect("a response");
        assert_eq!(response.status(), 200, "no event stream");
        Self::read(response)
    }

    pub fn read(response: Response) -> Self {
        Self(SseStream::from_bytes_stream(response.bytes_stream()).boxed())
    }

    /// The next event; `None` at the stream's end.
    pub async fn next(&mut self) -> Option<Sse> {
        in_time("an event", self.0.next()).await?.ok()
    }

    /// The next JSON-RPC message. Events without data (they say how to resume) are passed over.
    pub async fn message(&mut self) -> Value {
        loop {
            let event = self.next().await.expect("a message, not the end");
            let data = event.data.unwrap_or_default();
            if !data.is_empty() {
                return serde_json::from_str(&data).expect("JSON");
            }
        }
    }

    /// Reads on until the stream ends.
    pub async fn end(mut self) {
        in_time("the end of a stream", async {
            while let Some(Ok(_)) = self.0.next().await {}
        })
        .await;
    }
}
