//! The port between services: request/reply for live traffic, durable streams for what must not be lost. In-process or NATS.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// Headers of a message, such as `traceparent`. Names are ASCII without colon or white space.
pub type Headers = BTreeMap<String, String>;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Nobody listens on the subject: known at once, not after a time-out.
    #[error("nobody answers on {0}")]
    NoResponders(String),
    #[error("no answer on {0} in time")]
    TimedOut(String),
    /// What was read is no longer there: the stream was lost, or made anew.
    #[error("the stream {stream} ends at {end}, before the position {position} that it was read to")]
    PositionPastEnd { stream: String, end: u64, position: u64 },
    #[error("the bus is not available: {0}")]
    Unavailable(String),
}

/// A message of live traffic, as it is received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    pub headers: Headers,
    pub payload: Bytes,
    /// Where an answer is expected, if one is.
    pub reply_to: Option<String>,
}

/// A durable stream. Creating it again with the same settings changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSpec {
    /// Upper-case letters, digits and `_`.
    pub name: &'static str,
    /// NATS subjects; the last token may be `>`, any token `*`.
    pub subjects: &'static [&'static str],
    /// A second append with the same id within this time is dropped.
    pub dedup_window: Duration,
    /// Messages older than this go, read or not.
    pub max_age: Duration,
}

/// A durable reader. All readers of one name share the work; each message goes to one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSpec {
    pub stream: &'static str,
    /// Lower-case letters, digits and `_`.
    pub name: &'static str,
    /// One filter only: NATS 2.9 silently ignores a list of them.
    pub filter: &'static str,
    /// A delivery that is not answered within this time comes again.
    pub ack_wait: Duration,
    /// After so many deliveries a message is dead: it is appended to the stream `DEAD` and comes no more.
    pub max_deliver: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Position in the stream, from 1.
    pub sequence: u64,
    /// The id was seen before within the window; nothing was added.
    pub duplicate: bool,
}

/// A durable message in hand. Dropped without an answer, it comes again after `ack_wait`.
#[async_trait]
pub trait Delivery: Send + Sync {
    fn message(&self) -> &Message;
    fn sequence(&self) -> u64;
    /// How many times it has been delivered, this one included.
    fn attempt(&self) -> u32;
    /// Done. Returns once the server knows it.
    async fn ack(self: Box<Self>) -> Result<(), BusError>;
    /// Not done: again after `delay`.
    async fn nak(self: Box<Self>, delay: Duration) -> Result<(), BusError>;
    /// Still at it: the wait starts anew.
    async fn in_progress(&self) -> Result<(), BusError>;
    /// Never again: straight to `DEAD`.
    async fn dead_letter(self: Box<Self>, reason: &str) -> Result<(), BusError>;
}

#[async_trait]
pub trait Consumer: Send + Sync {
    /// Up to `max` messages; returns early with what there is once `wait` is over, and at once when something is there.
    async fn fetch(&self, max: usize, wait: Duration) -> Result<Vec<Box<dyn Delivery>>, BusError>;
}

/// A message of a durable stream, with its place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Position in the stream, from 1.
    pub sequence: u64,
    pub message: Message,
}

/// Reads a durable stream in order. It remembers nothing on the server: who reads keeps the position, best in the same
/// transaction as what the messages lead to.
#[async_trait]
pub trait LogReader: Send {
    /// The next messages in order, at most `max`; waits up to `wait` for the first; at once when something is there.
    /// Sequences only grow; those that the filter leaves out, and messages that are too old, are missing between them.
    /// Dropped before it is done, it has skipped nothing. After an error the reader is opened anew by its owner, at
    /// its own position.
    async fn next(&mut self, max: usize, wait: Duration) -> Result<Vec<LogEntry>, BusError>;
}

#[async_trait]
pub trait Bus: Send + Sync {
    async fn publish(&self, subject: &str, headers: Headers, payload: Bytes) -> Result<(), BusError>;

    async fn request(
        &self,
        subject: &str,
        headers: Headers,
        payload: Bytes,
        deadline: Duration,
    ) -> Result<Message, BusError>;

    /// Live messages from now on. Every subscriber gets its copy. `*` and a last `>` match as in NATS.
    /// When this returns, messages published afterwards are seen. A slow reader loses messages rather than stopping the rest.
    async fn subscribe(&self, subject: &str) -> Result<BoxStream<'static, Message>, BusError>;

    /// Like `subscribe`, but each message goes to one member of the group.
    async fn subscribe_group(&self, subject: &str, group: &str) -> Result<BoxStream<'static, Message>, BusError>;

    async fn create_stream(&self, spec: &StreamSpec) -> Result<(), BusError>;

    /// Returns once the message is kept. `id` is what duplicates are known by.
    async fn append(&self, subject: &str, id: &str, headers: Headers, payload: Bytes) -> Result<Appended, BusError>;

    async fn consumer(&self, spec: &ConsumerSpec) -> Result<Box<dyn Consumer>, BusError>;

    /// Reads what stands in the stream after `after` (0: from its beginning) and matches the filter; `filter` is one
    /// NATS subject pattern. A stream that ends before `after` is an error: it is not the one that was read, and what
    /// is appended to it would be taken for old.
    async fn read_log(&self, stream: &'static str, filter: &str, after: u64) -> Result<Box<dyn LogReader>, BusError>;

    /// Whether the backend answers.
    async fn check(&self) -> Result<(), BusError>;
}
