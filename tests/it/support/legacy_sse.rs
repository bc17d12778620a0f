//! The client side of the legacy transport: messages are posted to the next gateway, answers arrive on the stream.

use std::sync::Arc;

use futures::{StreamExt as _, stream::BoxStream};
use rmcp::{
    RoleClient,
    model::{ClientJsonRpcMessage, ServerJsonRpcMessage},
    transport::Transport,
};
use sse_stream::{Sse, SseStream};

use super::Gateways;

pub struct LegacySse {
    events: BoxStream<'static, Result<Sse, sse_stream::Error>>,
    gateways: Gateways,
    endpoint: Arc<str>,
    token: Arc<str>,
}

impl LegacySse {
    pub async fn connect(gateways: Gateways, token: &str) -> Self {
        let response = gateways.get("/sse").bearer_auth(token).send().await.expect("a stream");
        let response = response.error_for_status().expect("a stream");
        let mut events = SseStream::from_bytes_stream(response.bytes_stream()).boxed();
        let first = events.next().await.expect("an event").expect("an event");
        assert_eq!(first.event.as_deref(), Some("endpoint"));
        Self {
            events,
            gateways,
            endpoint: first.data.expect("an endpoint").into(),
            token: token.into(),
        }
    }
}

#[derive(Debug)]
pub struct PostFailed(String);

impl std::fmt::Display for PostFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for PostFailed {}

impl Transport<RoleClient> for LegacySse {
    type Error = PostFailed;

    fn send(&mut self, message: ClientJsonRpcMessage) -> impl Future<Output = Result<(), PostFailed>> + Send + 'static {
        let url = format!("{}{}", self.gateways.next_base(), self.endpoint);
        let request = self.gateways.http.post(url).bearer_auth(&self.token).json(&message);
        async move {
            let response = request.send().await.and_then(reqwest::Response::error_for_status);
            response.map(drop).map_err(|error| PostFailed(error.to_string()))
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let event = self.events.next().await?.ok()?;
            let data = event.data.unwrap_or_default();
            if let Ok(message) = serde_json::from_str(&data) {
                return Some(message);
            }
        }
    }

    async fn close(&mut self) -> Result<(), PostFailed> {
        self.events = futures::stream::empty().boxed();
        Ok(())
    }
}
