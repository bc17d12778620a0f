//! Bus messages for the gateway that holds a client's push stream: events to deliver and requests to the client's model.
//! Senders and gateways of neighbouring versions read them, so field names are part of the wire.

use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::AgentId;

/// Grace period of a new connection. A client that makes a single call also opens a stream and closes it within this
/// time (the Python client does so for each call); until it has passed, the client does not count as a listener.
pub const CONNECT_GRACE: TimeDelta = TimeDelta::seconds(2);

/// How long a client may take to answer the ping that follows its events.
pub const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// Events for a listener, sent to the gateway that holds its socket.
#[derive(Debug, Serialize, Deserialize)]
pub struct EventPush {
    pub connection: String,
    pub agent: AgentId,
    /// JSON-RPC notifications, in order.
    pub messages: Vec<String>,
}

/// The outcome of a push. The gateway answers with its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// The client has answered the ping behind the events.
    Confirmed,
    /// The client may have received the events.
    Unconfirmed,
    /// The stream is gone, not initialized, or too far behind: the client has received nothing.
    NotSent,
}

impl PushOutcome {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "1",
            Self::Unconfirmed => "0",
            Self::NotSent => "not sent",
        }
    }

    /// Reads the answer of a gateway. An unknown one may mean anything.
    pub fn of_reply(reply: &[u8]) -> Self {
        let outcomes = [Self::Confirmed, Self::NotSent];
        let known = outcomes
            .into_iter()
            .find(|outcome| outcome.as_str().as_bytes() == reply);
        known.unwrap_or(Self::Unconfirmed)
    }
}

/// A JSON-RPC request to a client, such as `sampling/createMessage`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClientRequest {
    /// The requester's id; cancellation names it.
    pub id: String,
    pub connection: String,
    pub agent: AgentId,
    pub method: String,
    pub params: Value,
    /// How long the client may take, in milliseconds.
    pub deadline_ms: u64,
}

/// The client's response to a `ClientRequest`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientResponse {
    /// The result of the JSON-RPC response.
    Result(Value),
    /// Why there is no result: an error response, a timeout or a closed stream.
    Failed(String),
}
