//! Telephone calls. The carrier brings what a caller says as text, over a socket to whichever relay, and speaks what it is
//! sent. The agent is the mind, reached by whatever way it can be reached now (`signal.rs`); when it is away, the answering
//! machine takes a message (`machine.rs`). Who says what, and when, is decided in `dialogue.rs`, which does no I/O. A call's
//! state is kept outside its relay (`state.rs`), so that the call outlives it.
//!
//! A call's way: `webhook.rs` answers the carrier with a script (`script.rs`) -> the carrier opens a socket to a relay
//! (`services/voice-relay`) -> `dialogue.rs` -> `signal.rs` to the agent -> `orders.rs` back -> `conclude.rs`. A call of
//! ours begins with `place.rs`, and passes the pipeline for everything that leaves (`outbound`) before that.

pub mod answered;
pub mod billing;
pub mod commands;
pub mod conclude;
pub mod continuation;
pub mod conversation;
pub mod lookup;
pub mod notifications;
pub mod originate;
pub mod phrases;
mod playback;
pub mod reconcile;
pub mod relay_registry;
pub mod sampling;
pub mod script;
pub mod state;
pub mod transfer;
pub mod voicemail;
pub mod webhook;

use std::{sync::Arc, time::Duration};

pub use conversation::Timeouts;

/// What an operator can set about calls.
#[derive(Clone, Debug)]
pub struct CallSettings {
    pub timeouts: Timeouts,
    /// The longest that a call may last.
    pub max_duration: Duration,
    /// How long a client's own model may take with an answer.
    pub sampling_timeout: Duration,
    /// How long an agent that was only pushed to may take.
    pub push_timeout: Duration,
    pub phrases: Arc<phrases::PromptCatalog>,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            timeouts: Timeouts::default(),
            max_duration: Duration::from_secs(3_600),
            sampling_timeout: Duration::from_secs(8),
            push_timeout: Duration::from_secs(6),
            phrases: Arc::default(),
        }
    }
}
