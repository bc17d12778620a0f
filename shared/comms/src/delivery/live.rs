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
/// Bytes of events in one push: well below what NATS takes (1 MB).
pub const MAX_PUSH: usize = 512 * 1024;

/// What travels to the gateway that holds the listener's socket.
#[derive(Serialize, Deserialize)]
pub struct Push {
    pub connection: String,
    pub agent: AgentId,
    /// JSON-RPC notifications, in order.
    pub messages: Vec<String>,
}

/// An event as the notification that listeners get (the Python client takes nothing else: a known method, a level, and data
/// that is an object).
pub fn notification(event: &Map<String, Value>) -> String {
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
