//! Push: sends events to a connected session through the gateway that holds its socket. The client confirms them by answering
//! a ping.

use std::time::Duration;

use butt_dial_domain::{
    OrgId,
    client_stream::{EventPush, PushOutcome},
    ports::bus::{BusError, Headers},
    subjects,
};
use butt_dial_store::AgentEvent;
use serde_json::{Map, Value, json};

use super::{Delivery, event_view::view, listeners::Listener};
use crate::tainted_texts::is_tainted;

/// For the request to the gateway, the ping included.
const PUSH_TIMEOUT: Duration = Duration::from_secs(4);
/// Bytes of events in one push, in their encoded form: below NATS's limit (1 MiB), with room for the envelope.
pub const MAX_PUSH_BYTES: usize = 768 * 1024;
/// The fields that a truncated event omits.
const LONG_FIELDS: [&str; 2] = ["body", "html"];
/// The fields of an event that is too large even without the long ones.
const MINIMAL_FIELDS: [&str; 6] = ["id", "seq", "event", "type", "channel", "timestamp"];

/// An event in the form that listeners receive.
pub struct PushMessage {
    pub text: String,
    /// Bytes in a push. At most `MAX_PUSH_BYTES`.
    pub size: usize,
    /// The event was too large and carries `"truncated": true`: the client knows of it but does not have it yet.
    pub is_truncated: bool,
}

impl PushMessage {
    pub fn new(event: &Map<String, Value>) -> Self {
        let whole = Self::encode(event, false);
        if whole.size <= MAX_PUSH_BYTES {
            return whole;
        }
        let mut short = event.clone();
        short.retain(|key, _| !LONG_FIELDS.contains(&key.as_str()));
        short.insert("truncated".into(), json!(true));
        let message = Self::encode(&short, true);
        if message.size <= MAX_PUSH_BYTES {
            return message;
        }
        short.retain(|key, _| key == "truncated" || MINIMAL_FIELDS.contains(&key.as_str()));
        Self::encode(&short, true)
    }

    fn encode(event: &Map<String, Value>, is_truncated: bool) -> Self {
        let text = notification(event);
        // The text is sent as a string within JSON. It is JSON itself, so only quotes and backslashes are escaped.
        let escaped = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        Self {
            size: text.len() + escaped + "\"\",".len(),
            text,
            is_truncated,
        }
    }
}

/// A batch of events in the form of one push.
pub(super) struct PushBatch {
    pub texts: Vec<String>,
    /// Sequence numbers of the events that are pushed whole.
    pub whole: Vec<i64>,
    pub truncated: Vec<i64>,
    /// A text of the batch resembles instructions to the agent.
    pub is_tainted: bool,
}

impl PushBatch {
    /// Encodes as many events, in order, as fit into one push. The first event always fits.
    pub fn encode(delivery: &Delivery, (org, name): (&OrgId, &str), events: &[AgentEvent]) -> Self {
        let mut batch = Self {
            texts: Vec::new(),
            whole: Vec::new(),
            truncated: Vec::new(),
            is_tainted: false,
        };
        let mut size = 0;
        for event in events {
            let mut view = view(&delivery.vault, org, event);
            view.insert("agentName".into(), json!(name));
            let message = PushMessage::new(&view);
            size += message.size;
            if !batch.texts.is_empty() && size > MAX_PUSH_BYTES {
                break;
            }
            batch.texts.push(message.text);
            batch.is_tainted |= is_tainted(&view);
            let list = if message.is_truncated {
                &mut batch.truncated
            } else {
                &mut batch.whole
            };
            list.push(event.seq);
        }
        batch
    }
}

/// Builds the notification. The Python client accepts only this form: a known method, a level, and data that is an object.
fn notification(event: &Map<String, Value>) -> String {
    let mut data = event.clone();
    data.entry("type").or_insert_with(|| json!("event"));
    json!({
        "jsonrpc": "2.0",
        "method": "notifications/message",
        "params": { "level": "info", "logger": "butt-dial", "data": data },
    })
    .to_string()
}

impl Delivery {
    /// Pushes messages to a listener, and waits until the client has confirmed them.
    pub async fn push(&self, listener: &Listener, messages: Vec<String>) -> PushOutcome {
        let push = EventPush {
            connection: listener.id.clone(),
            agent: listener.agent.clone(),
            messages,
        };
        let Ok(payload) = serde_json::to_vec(&push) else {
            return PushOutcome::NotSent;
        };
        let subject = subjects::deliver(&listener.replica);
        let reply = self.bus.request(&subject, Headers::new(), payload.into(), PUSH_TIMEOUT);
        match reply.await {
            Ok(reply) => PushOutcome::of_reply(&reply.payload),
            Err(error) => {
                tracing::info!(%error, gateway = %listener.replica, "push request failed");
                match error {
                    BusError::NoResponders(_) => PushOutcome::NotSent,
                    _ => PushOutcome::Unconfirmed,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::AgentId;

    use super::*;

    fn event(extra: &[(&str, String)]) -> Map<String, Value> {
        let mut event = Map::from_iter([
            ("id".to_owned(), json!("e1")),
            ("seq".to_owned(), json!(7)),
            ("event".to_owned(), json!("message.received")),
            ("from".to_owned(), json!("+14155550100")),
            ("attachments".to_owned(), json!([{ "url": "https://a.example/1" }])),
        ]);
        event.extend(extra.iter().map(|(key, text)| ((*key).to_owned(), json!(text))));
        event
    }

    fn data(message: &PushMessage) -> Value {
        let mut notification: Value = serde_json::from_str(&message.text).unwrap();
        notification["params"]["data"].take()
    }

    /// The bytes that a message adds to a push.
    fn encoded_size(message: &PushMessage) -> usize {
        let push = |messages| EventPush {
            connection: "c".into(),
            agent: AgentId::generate(),
            messages,
        };
        let bytes = |push: &EventPush| serde_json::to_vec(push).unwrap().len();
        bytes(&push(vec![message.text.clone(), String::new()])) - bytes(&push(vec![String::new()]))
    }

    #[test]
    fn pushes_fitting_event_whole() {
        for body in ["Hi", "\"quoted\" \\ \u{1}\n naïve 🙂", &"x".repeat(700_000)] {
            let message = PushMessage::new(&event(&[("body", body.to_owned())]));
            assert!(!message.is_truncated);
            assert_eq!(message.size, encoded_size(&message));
            assert_eq!(data(&message)["body"], body);
            assert_eq!(data(&message)["truncated"], Value::Null);
        }
    }

    #[test]
    fn marks_too_large_event_as_truncated() {
        // The second one is too large only in its encoded form.
        for (key, text) in [("html", "x".repeat(800_000)), ("body", "\"".repeat(300_000))] {
            let message = PushMessage::new(&event(&[(key, text), ("subject", "Offer".into())]));
            assert!(message.is_truncated && message.size < 1_000);
            let data = data(&message);
            assert_eq!((&data["truncated"], &data[key]), (&json!(true), &Value::Null));
            assert_eq!(
                (&data["id"], &data["seq"], &data["subject"]),
                (&json!("e1"), &json!(7), &json!("Offer"))
            );
            assert_eq!(data["attachments"][0]["url"], "https://a.example/1");
        }
    }

    #[test]
    fn truncates_any_event_to_fit() {
        let message = PushMessage::new(&event(&[("fileName", "x".repeat(2_000_000))]));
        assert!(message.is_truncated && message.size < 1_000);
        assert_eq!(
            (&data(&message)["id"], &data(&message)["truncated"]),
            (&json!("e1"), &json!(true))
        );
    }
}
