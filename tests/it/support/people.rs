//! People who write, as their carriers pass it on, and agents who read it.

use butt_dial_domain::Channel;
use butt_dial_providers::{PersonWrites, Written};
use serde_json::Value;

use super::{Agent, Gateways, Heard, Replying as _, Stage, eventually};

impl Stage {
    /// A person writes, and their carrier calls us. Any answer will do.
    pub async fn write(&self, text: PersonWrites) -> Written {
        self.carriers
            .person_writes(text)
            .await
            .expect("a message that can be written")
    }

    /// A person texts the account's agent, and the carrier is told that we have it.
    pub async fn texts(&self, from: &str, body: &str) -> Written {
        let to = &self.account.phone;
        self.taken_in(PersonWrites::new(Channel::Sms, from, to, body)).await
    }

    /// A person writes, and the carrier is told that we have it.
    pub async fn taken_in(&self, text: PersonWrites) -> Written {
        let written = self.write(text).await;
        assert_eq!(written.status, Some(200), "{written:?}");
        written
    }
}

impl Agent {
    /// What waits, as it comes, until there are so many events.
    pub async fn take(&self, count: usize) -> Vec<Value> {
        let mut taken = Vec::new();
        eventually("enough comes", async || {
            taken.extend(self.waiting().await);
            (taken.len() >= count).then_some(())
        })
        .await;
        assert_eq!(taken.len(), count, "{taken:?}");
        taken
    }

    /// Everything that waits beside the message with this text, which was written last: what came in before it is there.
    pub async fn take_until(&self, last: &str) -> Vec<Value> {
        let mut taken = Vec::new();
        eventually("the last message comes", async || {
            let page = self.waiting().await;
            let is_all = page.is_empty();
            taken.extend(page);
            let has_come = taken.iter().any(|event: &Value| event["body"] == last);
            (has_come && is_all).then_some(())
        })
        .await;
        let mut messages = taken.iter().filter(|event| event["type"] == "message");
        let end = messages.next_back().expect("a message");
        assert_eq!(end["body"], last, "something came after the last message: {end}");
        taken.retain(|event| event["body"] != last);
        taken
    }
}

/// Reads what waits for an agent over REST from gateways that may die meanwhile; nothing when there is no answer.
pub async fn listen(gateways: &Gateways, token: &str) -> Option<Vec<Value>> {
    let request = gateways.get("/api/v1/waiting-messages?limit=50").bearer_auth(token);
    let reply = request.try_reply().await.filter(|reply| reply.status == 200)?;
    reply.body["messages"].as_array().cloned()
}

impl From<&Value> for Heard {
    fn from(event: &Value) -> Self {
        let text = |key: &str| event[key].as_str().expect("a text").to_owned();
        Self {
            event: text("id"),
            carrier_id: text("providerMessageId"),
            text: text("body"),
        }
    }
}

/// The texts of messages, in their order.
pub fn bodies(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["body"].as_str().unwrap_or("-"))
        .collect()
}
