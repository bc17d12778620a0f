//! A session of the legacy transport, without a client library: the stream at one gateway, posts to any gateway.

use serde_json::Value;

use super::{EventStream, Gateways, Reply, RequestExt as _};

pub struct LegacySession {
    pub events: EventStream,
    /// The path to post to.
    pub endpoint: String,
    token: String,
}

impl LegacySession {
    pub async fn open(gateway: &Gateways, token: &str) -> Self {
        let mut events = EventStream::open(gateway.get("/sse").bearer_auth(token)).await;
        let first = events.next().await.expect("an event");
        assert_eq!(first.event.as_deref(), Some("endpoint"));
        Self {
            events,
            endpoint: first.data.expect("an endpoint"),
            token: token.to_owned(),
        }
    }

    /// Posts a message. Its answer arrives on the stream.
    pub async fn post(&self, gateway: &Gateways, message: &Value) -> Reply {
        self.post_text(gateway, &message.to_string()).await
    }

    /// Posts a raw text.
    pub async fn post_text(&self, gateway: &Gateways, text: &str) -> Reply {
        let request = gateway
            .request(reqwest::Method::POST, &self.endpoint)
            .bearer_auth(&self.token);
        request
            .header("content-type", "application/json")
            .body(text.to_owned())
            .reply()
            .await
    }
}
