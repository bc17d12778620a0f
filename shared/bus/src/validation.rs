//! Checks of messages and patterns that both backends share. The embedded backend must not accept what NATS rejects.

use butt_dial_domain::ports::bus::{BusError, Headers};

use crate::subject::{is_pattern, is_subject};

/// Payload and headers together, in bytes: the default limit of a NATS server.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1_048_576;
/// The queue of one live subscriber, in messages. Messages that do not fit are lost.
pub(crate) const LIVE_CAPACITY: usize = 8_192;
/// Framing of one header in bytes: colon, space, line break.
const HEADER_FRAME_BYTES: usize = 4;

pub(crate) fn check_message(subject: &str, headers: &Headers, payload: &[u8]) -> Result<(), BusError> {
    if !is_subject(subject) {
        return Err(rejected(&format!("{subject:?} is not a valid subject")));
    }
    let mut size = payload.len();
    for (name, value) in headers {
        let is_valid_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if !is_valid_name || value.contains(['\r', '\n']) {
            return Err(rejected(&format!("the header {name:?} is not valid")));
        }
        size += name.len() + value.len() + HEADER_FRAME_BYTES;
    }
    if size > MAX_MESSAGE_BYTES {
        return Err(rejected(&format!(
            "a message of {size} bytes on {subject} exceeds the limit of {MAX_MESSAGE_BYTES}"
        )));
    }
    Ok(())
}

pub(crate) fn check_pattern(pattern: &str) -> Result<(), BusError> {
    if is_pattern(pattern) {
        Ok(())
    } else {
        Err(rejected(&format!("{pattern:?} is not a valid subject pattern")))
    }
}

pub(crate) fn no_stream_for(subject: &str) -> BusError {
    BusError::Unavailable(format!("no stream has the subject {subject}"))
}

pub(crate) fn unknown_stream(name: &str) -> BusError {
    BusError::Unavailable(format!("the stream {name} does not exist"))
}

pub(crate) fn position_past_end(stream: &str, end: u64, position: u64) -> BusError {
    BusError::PositionPastEnd {
        stream: stream.to_owned(),
        end,
        position,
    }
}

fn rejected(reason: &str) -> BusError {
    BusError::Unavailable(format!("rejected: {reason}"))
}
