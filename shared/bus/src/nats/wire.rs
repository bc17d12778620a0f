//! Conversions between the messages of the port and of the NATS client. Removes the headers of NATS itself.

use async_nats::HeaderMap;
use butt_dial_domain::ports::bus::{BusError, Headers, Message};

/// The header with the id of an append.
pub(super) const MESSAGE_ID: &str = "Nats-Msg-Id";
/// The prefix of headers that the server reads or writes.
const NATS_PREFIX: &str = "Nats-";

/// Converts validated headers: the client panics on an invalid name or value.
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

/// Returns the id of an append; empty if it had none.
pub(super) fn message_id(headers: Option<&HeaderMap>) -> String {
    let id = headers.and_then(|headers| headers.get(MESSAGE_ID));
    id.map(ToString::to_string).unwrap_or_default()
}

/// Drops the reply subject: in a durable message it is the subject for acknowledgements, not for replies.
pub(super) fn durable_message(message: async_nats::Message) -> Message {
    let mut headers = Headers::new();
    if let Some(map) = message.headers {
        for (name, values) in map.iter() {
            if let (name, Some(value)) = (name.to_string(), values.first())
                && !name.starts_with(NATS_PREFIX)
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
