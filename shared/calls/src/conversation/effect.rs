//! The interface of a conversation: effects out, replies and moments in.

use butt_dial_domain::{
    clock::Timestamp,
    ports::voice::{OutgoingFrame, RecordingChange},
};
use tokio::time::Instant;

use super::super::state::Speaker;

/// Effects are executed in order.
#[derive(Clone, PartialEq, Eq)]
pub enum Effect {
    Send(OutgoingFrame),
    /// Requests a reply to this turn from the current responder.
    RequestReply {
        turn: u64,
    },
    /// Changes the recording of the call, once the state is persisted: the callback about the recording reads it. `Conversation::recording_changed` gets the result.
    ChangeRecording(RecordingChange),
    /// Cancels the request for a reply.
    CancelRequest,
    /// The state has changed and must be persisted.
    Save,
    /// Ends the session, once the state is persisted.
    Close,
}

/// A moment on both clocks: wall time for what is persisted, monotonic time for deadlines.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub wall: Timestamp,
    pub instant: Instant,
}

/// A piece of a reply by the agent or the voicemail service.
pub struct ReplyChunk {
    pub by: Speaker,
    /// The turn that it replies to. `None`: the current one.
    pub turn: Option<u64>,
    pub text: String,
    /// No more pieces follow.
    pub is_last: bool,
    /// A model was asked to write it in the language that the caller speaks.
    pub is_in_callers_language: bool,
}

/// Why a piece of a reply is not spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyRejected {
    /// The caller has spoken again since.
    Superseded,
    /// It has no words to speak, and there is no reply that it ends.
    Silent,
    /// The turn already has its reply, another responder has taken over, or the call is ending.
    Answered,
}
