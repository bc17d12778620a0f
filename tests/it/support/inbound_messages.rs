//! Inbound messages: people write through the simulated carriers, and agents read.

use butt_dial_domain::Channel;
use butt_dial_providers::{PersonMessage, PersonMessageResult};
use serde_json::Value;

use super::{Agent, Gateways, ReceivedMessage, RequestExt as _, TestContext, eventually};

impl TestContext {
    /// A person writes and the carrier calls the webhook. Accepts any response.
    pub async fn deliver(&self, message: PersonMessage) -> PersonMessageResult {
        self.carriers
            .send_as_person(message)
            .await
            .expect("a deliverable message")
    }

    /// A person texts the account's agent, and the webhook accepts the message.
    pub async fn texts(&self, from: &str, body: &str) -> PersonMessageResult {
        let to = &self.account.phone;
        self.deliver_accepted(PersonMessage::new(Channel::Sms, from, to, body))
            .await
    }

    /// A person texts the account's agent. Returns the status of the webhook.
    pub async fn texts_at(&self, from: &str, body: &str) -> Option<u16> {
        let to = &self.account.phone;
        let written = self.deliver(PersonMessage::new(Channel::Sms, from, to, body)).await;
        written.status
    }

    /// A person writes, and the webhook accepts the message.
    pub async fn deliver_accepted(&self, message: PersonMessage) -> PersonMessageResult {
        let written = self.deliver(message).await;
        assert_eq!(written.status, Some(200), "{written:?}");
        written
    }
}

impl Agent {
    /// Polls until exactly `count` events have arrived.
    pub async fn expect_events(&self, count: usize) -> Vec<Value> {
        let mut events = Vec::new();
        eventually("the events arrive", async || {
            events.extend(self.poll_messages().await);
            (events.len() >= count).then_some(())
        })
        .await;
        assert_eq!(events.len(), count, "{events:?}");
        events
    }

    /// Polls until the message with this text has arrived, and returns all events before it. It must be the last
    /// message.
    pub async fn poll_until(&self, last: &str) -> Vec<Value> {
        let mut events = Vec::new();
        eventually("the last message arrives", async || {
            let page = self.poll_messages().await;
            let is_all = page.is_empty();
            events.extend(page);
            let has_arrived = events.iter().any(|event: &Value| event["body"] == last);
            (has_arrived && is_all).then_some(())
        })
        .await;
        let mut messages = events.iter().filter(|event| event["type"] == "message");
        let end = messages.next_back().expect("a message");
        assert_eq!(end["body"], last, "a message arrived after the last one: {end}");
        events.retain(|event| event["body"] != last);
        events
    }
}

/// Polls an agent's messages over REST from gateways that may die meanwhile. Returns `None` without an answer.
pub async fn poll_messages(gateways: &Gateways, token: &str) -> Option<Vec<Value>> {
    let request = gateways.get("/api/v1/waiting-messages?limit=50").bearer_auth(token);
    let reply = request.try_reply().await.filter(|reply| reply.status == 200)?;
    reply.body["messages"].as_array().cloned()
}

impl From<&Value> for ReceivedMessage {
    fn from(event: &Value) -> Self {
        let text = |key: &str| event[key].as_str().expect("a string").to_owned();
        Self {
            event: text("id"),
            carrier_id: text("providerMessageId"),
            text: text("body"),
        }
    }
}

/// Returns the texts of messages, in order.
pub fn bodies(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["body"].as_str().unwrap_or("-"))
        .collect()
}
