//! Between the port's messages and the client's. Headers that belong to NATS itself are never shown to a reader.

use async_nats::HeaderMap;
use butt_dial_domain::ports::bus::{BusError, Headers, Message};

/// Headers that the server reads or writes.
const OWN_PREFIX: &str = "Nats-";

/// They have been checked: the client panics on a name or value that can't be sent.
pub(super) fn to_headers(headers: &Headers) -> Option<HeaderMap> {
    if headers.is_empty() {
        return None;
    }
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name.as_str(), value.as_str());
    }
    Some(map)
}

pub(super) fn live_message(message: async_nats::Message) -> Message {
    let reply_to = message.reply.as_ref().map(ToString::to_string);
    Message {
        reply_to,
        ..durable_message(message)
    }
}

/// The reply subject of a durable message is where it is acknowledged; nobody waits for an answer there.
pub(super) fn durable_message(message: async_nats::Message) -> Message {
    let mut headers = Headers::new();
    if let Some(map) = message.headers {
        for (name, values) in map.iter() {
            if let (name, Some(value)) = (name.to_string(), values.first())
                && !name.starts_with(OWN_PREFIX)
            {
                headers.insert(name, value.to_string());
            }
        }
    }
    Message {
        subject: message.subject.to_string(),
        headers,
        payload: message.payload,
        reply_to: None,
    }
}

pub(super) fn unavailable(reason: impl std::fmt::Display) -> BusError {
    BusError::Unavailable(reason.to_string())
}
