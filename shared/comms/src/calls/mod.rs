//! Telephone calls. The carrier brings what a caller says as text, over a socket to whichever relay, and speaks what it is
//! sent. The agent is the mind, reached by whatever way it can be reached now (`signal.rs`); when it is away, the answering
//! machine takes a message (`machine.rs`). Who says what, and when, is decided in `dialogue.rs`, which does no I/O. A call's
//! state is kept outside its relay (`state.rs`), so that the call outlives it.
//!
//! A call's way: `webhook.rs` answers the carrier with a script (`script.rs`) -> the carrier opens a socket to a relay
//! (`services/voice-relay`) -> `dialogue.rs` -> `signal.rs` to the agent -> `orders.rs` back -> `conclude.rs`. A call of
//! ours begins with `place.rs`, and passes the pipeline for everything that leaves (`outbound`) before that.

pub mod attendance;
pub mod beginning;
pub mod conclude;
pub mod dialogue;
pub mod hand_over;
mod heard;
pub mod known;
pub mod machine;
pub mod money;
pub mod orders;
pub mod phrases;
pub mod place;
pub mod relays;
pub mod sampling;
pub mod script;
pub mod signal;
pub mod state;
pub mod unheard;
pub mod webhook;

use std::{sync::Arc, time::Duration};

pub use dialogue::Budgets;

/// What an operator can set about calls.
#[derive(Clone, Debug)]
pub struct CallSettings {
    pub budgets: Budgets,
    /// The longest that a call may last.
    pub longest: Duration,
    /// How long a client's own model may take with an answer.
    pub sampling_within: Duration,
    /// How long an agent that was only pushed to may take.
    pub push_within: Duration,
    pub phrases: Arc<phrases::Book>,
}

impl Default for CallSettings {
    fn default() -> Self {
        Self {
            budgets: Budgets::default(),
            longest: Duration::from_secs(3_600),
            sampling_within: Duration::from_secs(8),
            push_within: Duration::from_secs(6),
            phrases: Arc::default(),
        }
    }
}
