//! The port between services: request/reply for live traffic, durable logs for data that must not be lost. The backends
//! are the process itself (with SQLite) and NATS with JetStream.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::clock::Timestamp;

/// Headers of a message, such as `traceparent`. Names are printable ASCII without colon or white space; values hold no
/// line break.
pub type Headers = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The subject has no subscriber. Reported at once, not after a time-out.
    #[error("no subscriber on {0}")]
    NoResponders(String),
    #[error("no reply on {0} within the deadline")]
    TimedOut(String),
    /// The entry at the position is another one than was read: the stream lost its last entries and reuses their numbers, or it
    /// was recreated.
    #[error("the entry at {position} of stream {stream} is not the one that was read: entries were lost")]
    OtherEntry { stream: String, position: u64 },
    /// The position is beyond the end of the stream: the stream was lost or recreated since the position was stored.
    #[error("stream {stream} ends at {end}, before the stored position {position}: it was lost or recreated")]
    PositionPastEnd { stream: String, end: u64, position: u64 },
    /// The backend can't be reached, or it rejected the request. The text holds the reason.
    #[error("the bus is not available: {0}")]
    Unavailable(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    pub headers: Headers,
    pub payload: Bytes,
    /// The subject that a reply is published to. `None` when no reply is expected, and in every durable message.
    pub reply_to: Option<String>,
}

/// The settings of a durable stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSpec {
    /// Upper-case letters, digits and `_`.
    pub name: &'static str,
    /// NATS subject patterns. A subject belongs to one stream at most.
    pub subjects: &'static [&'static str],
    /// A second append with the same id within this time is dropped.
    pub dedup_window: Duration,
    /// Older messages are deleted, read or not.
    pub max_age: Duration,
}

/// How many servers store a durable stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamCopies {
    pub stream: &'static str,
    /// Copies that are up to date, including that of the leader.
    pub current: usize,
    pub wanted: usize,
}

/// The result of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The position in the stream, from 1. Of a duplicate: the position of the first append.
    pub sequence: u64,
    /// The id was appended before within the window; nothing was added.
    pub duplicate: bool,
}

/// A message of a durable stream with its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The position in the stream, from 1.
    pub sequence: u64,
    /// The id of the append; empty if it had none, or if the backend does not return it.
    pub id: String,
    pub message: Message,
}

/// The last entry that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogPosition {
    /// 0: none.
    pub sequence: u64,
    /// The id of its append; empty if it is not known.
    pub id: String,
}

/// A cursor over a durable stream. The server stores nothing about it: the caller persists the position, best in the
/// same transaction as the effects of the messages.
#[async_trait]
pub trait LogReader: Send {
    /// Returns the next entries in order, at most `max`. Returns at once when there are any; otherwise waits up to
    /// `wait` for the first one and returns an empty list when none arrived.
    ///
    /// Sequences are strictly increasing. They have gaps where entries do not match the filter or have expired.
    /// Cancel-safe: a dropped call skips nothing. After an error the caller opens a new reader at its own position.
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<LogEntry>, BusError>;

    /// Counts the entries behind those that were returned. The backend may count entries that do not match the filter.
    async fn count_unread(&mut self) -> Result<u64, BusError>;
}

/// The message bus. Subjects are tokens between dots; in patterns `*` matches one token and a final `>` one or more, as
/// in NATS. A message of more than 1 MiB, headers included, is rejected with `Unavailable`.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes a live message. Succeeds without a subscriber.
    async fn publish(&self, subject: &str, headers: Headers, payload: Bytes) -> Result<(), BusError>;

    /// Publishes a live message and waits for the first reply. Fails with `NoResponders` at once when the subject has no
    /// subscriber, with `TimedOut` after `deadline`.
    async fn request(
        &self,
        subject: &str,
        headers: Headers,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Message, BusError>;

    /// Subscribes to live messages that match the pattern. Every subscriber gets a copy. Messages that are published
    /// after this returns are received. A slow subscriber loses messages and does not slow down the others.
    async fn subscribe(&self, subject: &str) -> Result<BoxStream<'static, Message>, BusError>;

    /// Subscribes as a member of a group. Each message is delivered to one member.
    async fn subscribe_group(&self, subject: &str, group: &str) -> Result<BoxStream<'static, Message>, BusError>;

    /// Creates the stream, or updates the settings of an existing one. Idempotent. Subjects that it has besides these stay:
    /// another release may use them.
    async fn create_stream(&self, spec: &StreamSpec) -> Result<(), BusError>;

    /// Appends to the stream that the subject belongs to. Returns once the message is durable. Messages are deduplicated
    /// by `id` within the stream's window; an empty `id` is never a duplicate. Fails with `Unavailable` when no stream
    /// has the subject; after any error the message may or may not have been appended.
    async fn append(&self, subject: &str, id: &str, headers: Headers, payload: Bytes) -> Result<Appended, BusError>;

    /// Opens a reader behind the position `after` (0: at the beginning). `filter` is one subject pattern. Fails with
    /// `PositionPastEnd` when the stream ends before `after`: it is not the stream that was read before, and new entries
    /// would be skipped as already read.
    async fn read_log(&self, stream: &'static str, filter: &str, after: u64) -> Result<Box<dyn LogReader>, BusError> {
        let id = String::new();
        self.read_log_after(stream, filter, LogPosition { sequence: after, id })
            .await
    }

    /// Opens a reader like `read_log`. Fails with `OtherEntry` when the entry at the position has another id. The reader checks
    /// this also when it reconnects.
    async fn read_log_after(
        &self,
        stream: &'static str,
        filter: &str,
        after: LogPosition,
    ) -> Result<Box<dyn LogReader>, BusError>;

    /// Returns the position of the last entry with this subject; 0 if there is none.
    async fn last_position(&self, stream: &'static str, subject: &str) -> Result<u64, BusError>;

    /// Returns a position before every entry that was appended at this time or later, and as close to them as is known.
    async fn position_before(&self, stream: &'static str, time: Timestamp) -> Result<u64, BusError>;

    /// Deletes the entries with this subject before the position. Returns how many. A backend that deletes by age only deletes none.
    async fn discard(&self, _stream: &'static str, _subject: &str, _before: u64) -> Result<u64, BusError> {
        Ok(0)
    }

    /// Checks that the backend responds.
    async fn check(&self) -> Result<(), BusError>;

    /// Returns the copies of the streams of this process, as the last check found them. Empty if the backend copies nothing.
    fn stream_copies(&self) -> Vec<StreamCopies> {
        Vec::new()
    }
}
