//! Telephone calls. The carrier transcribes the caller's speech, sends it as text over a socket to any relay, and speaks the
//! text that it gets back. The agent replies to each turn; while it is away, a voicemail service takes a message.
//!
//! The way of a call:
//! - `webhook` answers the carrier with a `script`, which opens a socket to a relay (`services/voice-relay`).
//! - The relay acquires the call (`ownership`) and executes the effects of its [`conversation::Conversation`].
//! - `notifications` bring each turn to the agent, and `commands` bring its replies back to the relay.
//! - `conclude` records the end of the call. `reconcile` finds calls with missing callbacks.
//!
//! An outbound call begins with `originate` and passes the send pipeline of `butt_dial_messaging`. The state of a call is in
//! the key-value store (`state_store`), never only in a process: any relay can continue the call of another one.

pub mod answered;
pub mod billing;
pub mod bridges;
mod call_records;
pub mod callee;
pub mod commands;
pub mod conclude;
pub mod continuation;
pub mod conversation;
pub mod digits;
mod handle;
pub mod legs;
pub mod lookup;
mod metrics;
pub mod notifications;
pub mod originate;
pub mod ownership;
pub mod phrases;
mod playback;
pub mod reconcile;
pub mod relay_registry;
mod revocation;
pub mod sampling;
pub mod script;
mod settings;
pub mod socket_ticket;
pub mod speech;
pub mod state;
mod state_store;
#[cfg(test)]
mod tests;
mod transcript;
pub mod transfer;
pub mod voice_settings;
pub mod voicemail;
mod waiters;
pub mod webhook;
mod words;

pub use call_records::CallRecords;
pub use handle::Calls;
pub use metrics::Metrics;
pub use settings::{CallSettings, Timeouts};
