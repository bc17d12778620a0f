//! Messages between services behind one port: in this process (durable streams in SQLite), or over NATS with JetStream.
//! A subject is used for live traffic or belongs to a stream, never both: what is appended is not seen by live
//! subscribers here, though NATS would show it to them.

mod dead;
mod embedded;
mod nats;
mod rules;
mod subject;

pub use dead::{DEAD_LETTERS, header};
pub use embedded::EmbeddedBus;
pub use nats::NatsBus;
