//! The first rung: a session that listens, on whichever gateway. Confirmed by the client's answer to a ping.

use std::time::Duration;

use butt_dial_domain::{AgentId, ports::bus::Headers, subjects};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::listeners::Listener;
use crate::Comms;

/// How long a client may take to answer the ping that follows its events.
pub const PING_DEADLINE: Duration = Duration::from_secs(3);
/// For the whole way there and back.
const DEADLINE: Duration = Duration::from_secs(4);
/// Bytes of events in one push, as they travel: below what NATS takes (1 MiB), with room for what is around them.
pub const MAX_PUSH: usize = 768 * 1024;
/// What a shortened event goes without.
const LONG: [&str; 2] = ["body", "html"];
/// What is left of one that is too large even so.
const ALWAYS: [&str; 6] = ["id", "seq", "event", "type", "channel", "timestamp"];

/// What travels to the gateway that holds the listener's socket.
#[derive(Serialize, Deserialize)]
pub struct Push {
    pub connection: String,
    pub agent: AgentId,
    /// JSON-RPC notifications, in order.
    pub messages: Vec<String>,
}

/// An event as listeners get it.
pub struct Message {
    pub text: String,
    /// In a push. Never more than `MAX_PUSH`.
    pub size: usize,
    /// It was too large, and says `"truncated": true`: who has it knows of the event, but does not have it yet.
    pub is_short: bool,
}

impl Message {
    pub fn new(event: &Map<String, Value>) -> Self {
        let whole = Self::of(event, false);
        if whole.size <= MAX_PUSH {
            return whole;
        }
        let mut short = event.clone();
        short.retain(|key, _| !LONG.contains(&key.as_str()));
        short.insert("truncated".into(), json!(true));
        let message = Self::of(&short, true);
        if message.size <= MAX_PUSH {
            return message;
        }
        short.retain(|key, _| key == "truncated" || ALWAYS.contains(&key.as_str()));
        Self::of(&short, true)
    }

    fn of(event: &Map<String, Value>, is_short: bool) -> Self {
        let text = notification(event);
        // It travels as a string within JSON; being JSON, it has nothing else that is escaped there.
        let escaped = text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        Self {
            size: text.len() + escaped + "\"\",".len(),
            text,
            is_short,
        }
    }
}

/// The notification that the Python client takes (nothing else: a known method, a level, and data that is an object).
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

/// True once the client has them. False: it is not known that it has.
pub async fn push(comms: &Comms, listener: &Listener, messages: Vec<String>) -> bool {
    let push = Push {
        connection: listener.id.clone(),
        agent: listener.agent.clone(),
        messages,
    };
    let Ok(payload) = serde_json::to_vec(&push) else {
        return false;
    };
    let subject = subjects::deliver(&listener.replica);
    match comms
        .bus
        .request(&subject, Headers::new(), payload.into(), DEADLINE)
        .await
    {
        Ok(answer) => answer.payload.as_ref() == b"1",
        Err(error) => {
            tracing::info!(%error, "a listener's gateway does not answer");
            false
        }
    }
}

#[cfg(test)]
mod tests {
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

    fn data(message: &Message) -> Value {
        let mut notification: Value = serde_json::from_str(&message.text).unwrap();
        notification["params"]["data"].take()
    }

    /// What it adds to a push.
    fn travelling(message: &Message) -> usize {
        let push = |messages| Push {
            connection: "c".into(),
            agent: AgentId::generate(),
            messages,
        };
        let bytes = |push: &Push| serde_json::to_vec(push).unwrap().len();
        bytes(&push(vec![message.text.clone(), String::new()])) - bytes(&push(vec![String::new()]))
    }

    #[test]
    fn what_fits_is_pushed_whole() {
        for body in ["Hi", "\"quoted\" \\ \u{1}\n naïve 🙂", &"x".repeat(700_000)] {
            let message = Message::new(&event(&[("body", body.to_owned())]));
            assert!(!message.is_short);
            assert_eq!(message.size, travelling(&message));
            assert_eq!(data(&message)["body"], body);
            assert_eq!(data(&message)["truncated"], Value::Null);
        }
    }

    #[test]
    fn what_is_too_large_says_so() {
        // The second one is too large only as it travels.
        for (key, text) in [("html", "x".repeat(800_000)), ("body", "\"".repeat(300_000))] {
            let message = Message::new(&event(&[(key, text), ("subject", "Offer".into())]));
            assert!(message.is_short && message.size < 1_000);
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
    fn nothing_is_too_large_in_the_end() {
        let message = Message::new(&event(&[("fileName", "x".repeat(2_000_000))]));
        assert!(message.is_short && message.size < 1_000);
        assert_eq!(
            (&data(&message)["id"], &data(&message)["truncated"]),
            (&json!("e1"), &json!(true))
        );
    }
}
