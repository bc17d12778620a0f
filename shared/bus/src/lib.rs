//! The message bus between services. Two backends behind one port: the process itself, with durable streams in SQLite,
//! and NATS with JetStream.
//!
//! A subject is used for live traffic or belongs to a durable stream, never both: `EmbeddedBus` does not show appended
//! messages to live subscribers, but NATS does.

mod embedded;
mod nats;
mod subject;
mod validation;

pub use embedded::EmbeddedBus;
pub use nats::{NatsAccess, NatsBus, NatsIdentity, Replicas, StreamSettings};
