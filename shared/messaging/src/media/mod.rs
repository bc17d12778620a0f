//! Attachments and speech files: fetched or synthesized, stored encrypted, and read through signed links that expire.
//!
//! An event with attachments, or with a body that is fetched later, is incomplete and is held back until it is complete or
//! until its time limit (`incomplete_events.rs`). After the limit for bodies the event is released without its body, which
//! follows in a second event (`deferred_body.rs`).

mod attachments;
mod blobs;
mod call_recordings;
mod deferred_body;
mod download;
mod handle;
mod incomplete_events;
mod links;
mod single_flight;
#[cfg(test)]
mod tests;
mod transcription;
mod tts;

pub use blobs::{Blob, BlobMeta, Blobs, BlobsConfig, OpenBlob, Resealed};
pub use handle::Media;
pub use links::LinkError;
