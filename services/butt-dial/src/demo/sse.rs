//! The client of the legacy SSE transport (MCP 2024-11-05), which rmcp no longer contains: a stream of events to read, and
//! an address to post to.

use std::sync::Arc;

use futures::{StreamExt, stream::BoxStream};
use rmcp::{
    RoleClient,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use sse_stream::{Sse, SseStream};

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SseError(String);

pub struct SseTransport {
    events: BoxStream<'static, Result<Sse, sse_stream::Error>>,
    http: reqwest::Client,
    endpoint: Arc<str>,
    token: Arc<str>,
}

impl SseTransport {
    /// Opens the stream and waits for the event with the address for messages.
    pub async fn connect(base: &str, token: &str) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tcp_nodelay(true)
            .build()
            .map_err(|error| error.to_string())?;
        let response = http.get(format!("{base}/sse")).bearer_auth(token).send().await;
        let response = response
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| error.to_string())?;
        let mut events = SseStream::from_bytes_stream(response.bytes_stream()).boxed();
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| error.to_string())?;
            if event.event.as_deref() == Some("endpoint") {
                let path = event.data.unwrap_or_default();
                let endpoint = url::Url::parse(base)
                    .and_then(|base| base.join(&path))
                    .map_err(|error| error.to_string())?;
                return Ok(Self {
                    events,
                    http,
                    endpoint: endpoint.as_str().into(),
                    token: token.into(),
                });
            }
        }
        Err("the stream ended before the endpoint event".into())
    }
}

impl Transport<RoleClient> for SseTransport {
    type Error = SseError;

    fn send(&mut self, message: ClientJsonRpcMessage) -> impl Future<Output = Result<(), SseError>> + Send + 'static {
        let request = self.http.post(&*self.endpoint).bearer_auth(&self.token).json(&message);
        async move {
            let response = request.send().await.and_then(reqwest::Response::error_for_status);
            response.map(drop).map_err(|error| SseError(error.to_string()))
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let event = self.events.next().await?.ok()?;
            if event.event.as_deref() != Some("message") {
                continue;
            }
            if let Ok(message) = serde_json::from_str(event.data.as_deref().unwrap_or_default()) {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), SseError> {
        self.events = futures::stream::empty().boxed();
        Ok(())
    }
}
