//! Inbound: from a carrier's webhook to an agent's event.
//!
//! Receiving: each stage consumes the result of the one before: [`RawWebhook`] -> `VerifiedWebhook` -> `ParsedWebhook` ->
//! `AuthorizedWebhook`. Its events are appended to the durable stream, and only then the carrier gets its acknowledgement.
//! The database is not needed on this path.
//!
//! Consuming: the stream has partitions (`partitions.rs`), which the dispatchers share (`assignment.rs`). One process at a time
//! reads a partition in order (`consumer.rs`) and applies each batch in one transaction (`apply.rs`).
//! The id of a webhook event is derived from the vendor's own id, so a repetition is recognized by the stream and by the
//! database.

mod apply;
mod assignment;
mod authorize;
mod calls;
mod consumer;
mod dead_letter;
mod discard;
pub mod envelope;
mod handle;
pub(crate) mod keyword;
mod message_data;
mod parse;
pub(crate) mod partitions;
mod publish;
mod receipts;
mod receive;
mod routes;
mod sessions;
mod streams;
#[cfg(test)]
mod tests;
mod unsubscribe;
mod verify;
mod webhook;

pub use dead_letter::{DeadLetterView, EventView};
pub use discard::discard_read;
pub use handle::Inbound;
pub use keyword::read_tables;
pub use partitions::{MAX_PARTITIONS, Partition, Partitions};
pub use receipts::status_label;
pub use routes::{REFRESH_INTERVAL, Routes};
pub use streams::STREAM;
pub use verify::VerifiedWebhook;
pub use webhook::{RawWebhook, Via, WebhookRefusal};
