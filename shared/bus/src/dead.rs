//! Dead letters: messages that no delivery of a consumer could handle, kept in a stream of their own. Never buries a
//! letter twice, and never a dead letter.

use std::time::Duration;

use butt_dial_domain::ports::bus::{Headers, Message, StreamSpec};
use bytes::Bytes;

/// Both backends create it before the first consumer. Subjects are `dead.<stream>.<consumer>`.
pub const DEAD_LETTERS: StreamSpec = StreamSpec {
    name: "DEAD",
    subjects: &["dead.>"],
    // Longer than any `ack_wait`: a burial that is repeated because its end was not seen changes nothing.
    dedup_window: Duration::from_secs(3_600),
    max_age: Duration::from_secs(30 * 86_400),
};

/// What a dead letter's headers say beside those of the original.
pub mod header {
    pub const SUBJECT: &str = "Dead-Subject";
    pub const SEQUENCE: &str = "Dead-Sequence";
    pub const ATTEMPT: &str = "Dead-Attempt";
    pub const REASON: &str = "Dead-Reason";
}

pub(crate) struct Letter {
    pub(crate) subject: String,
    /// The same whoever buries it.
    pub(crate) id: String,
    pub(crate) headers: Headers,
    pub(crate) payload: Bytes,
}

/// None when the message lies in the stream of dead letters already: it stays there.
pub(crate) fn letter(
    stream: &str,
    consumer: &str,
    sequence: u64,
    attempt: u32,
    message: &Message,
    reason: &str,
) -> Option<Letter> {
    if stream == DEAD_LETTERS.name {
        return None;
    }
    let mut headers = message.headers.clone();
    headers.insert(header::SUBJECT.to_owned(), message.subject.clone());
    headers.insert(header::SEQUENCE.to_owned(), sequence.to_string());
    headers.insert(header::ATTEMPT.to_owned(), attempt.to_string());
    headers.insert(header::REASON.to_owned(), reason.replace(char::is_control, " "));
    Some(Letter {
        subject: format!("dead.{stream}.{consumer}"),
        id: format!("{stream}.{consumer}.{sequence}"),
        headers,
        payload: message.payload.clone(),
    })
}

/// Why a message is dead whose deliveries are used up.
pub(crate) fn used_up(max_deliver: u32) -> String {
    format!("not handled in {max_deliver} deliveries")
}
