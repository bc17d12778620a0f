//! What every message must obey, checked alike before either backend sees it: the in-process program must not accept
//! what would fail on NATS.

use butt_dial_domain::ports::bus::{BusError, Headers};

use crate::subject::{is_pattern, is_subject};

/// Payload and headers together, in bytes: what a NATS server takes unless told otherwise.
pub(crate) const MAX_MESSAGE: usize = 1_048_576;
/// Live messages that wait for one reader; more are lost.
pub(crate) const LIVE_CAPACITY: usize = 8_192;
/// Framing of a header on the wire: colon, space, line break.
const HEADER_FRAME: usize = 4;

pub(crate) fn check_message(subject: &str, headers: &Headers, payload: &[u8]) -> Result<(), BusError> {
    if !is_subject(subject) {
        return Err(refused(&format!("{subject:?} is no subject")));
    }
    let mut size = payload.len();
    for (name, value) in headers {
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':');
        if !is_name || value.contains(['\r', '\n']) {
            return Err(refused(&format!("the header {name:?} can't be sent")));
        }
        size += name.len() + value.len() + HEADER_FRAME;
    }
    if size > MAX_MESSAGE {
        return Err(refused(&format!("{size} bytes on {subject} are too many")));
    }
    Ok(())
}

pub(crate) fn check_pattern(pattern: &str) -> Result<(), BusError> {
    if is_pattern(pattern) {
        Ok(())
    } else {
        Err(refused(&format!("{pattern:?} is no subject")))
    }
}

pub(crate) fn no_stream_takes(subject: &str) -> BusError {
    BusError::Unavailable(format!("no stream takes {subject}"))
}

pub(crate) fn no_stream(name: &str) -> BusError {
    BusError::Unavailable(format!("there is no stream {name}"))
}

/// The stream was lost or made anew since the position was kept.
pub(crate) fn position_past_end(stream: &str, last: u64, position: u64) -> BusError {
    BusError::PositionPastEnd {
        stream: stream.to_owned(),
        end: last,
        position,
    }
}

fn refused(reason: &str) -> BusError {
    BusError::Unavailable(format!("refused: {reason}"))
}
