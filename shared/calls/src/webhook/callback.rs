//! A callback about a call: its kind, and the verified request.

use std::sync::Arc;

use butt_dial_domain::{
    call::CallReport,
    ports::{bus::Headers, voice::Voice},
};

use super::super::state::CallState;

/// The kind of a callback: the end of the path, as in `/webhooks/twilio/voice/action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackKind {
    /// A new inbound call.
    Incoming,
    /// An outbound call was answered.
    Answer,
    /// The socket of a conversation has ended.
    Action,
    Status,
    /// The result of answering machine detection.
    Machine,
    /// A message was recorded after the beep.
    Message,
    Recording,
    /// The callee of a warm transfer has answered.
    Whisper,
    /// A transfer has ended, or failed.
    Dialled,
}

impl CallbackKind {
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "" | "incoming" => Self::Incoming,
            "answer" => Self::Answer,
            "action" => Self::Action,
            "status" => Self::Status,
            "machine" => Self::Machine,
            "message" => Self::Message,
            "recording" => Self::Recording,
            "whisper" => Self::Whisper,
            "dialled" => Self::Dialled,
            _ => return None,
        })
    }

    /// Returns whether the report must be durable before the carrier gets its response. Otherwise a person on the line waits
    /// for the response, and an error would end the call.
    pub(super) fn must_precede_response(self) -> bool {
        match self {
            Self::Status | Self::Machine | Self::Message | Self::Recording => true,
            Self::Incoming | Self::Answer | Self::Action | Self::Whisper | Self::Dialled => false,
        }
    }
}

/// A verified callback.
pub(super) struct CallWebhook {
    pub carrier: &'static str,
    pub voice: Arc<dyn Voice>,
    pub report: CallReport,
    /// The host's id of the agent in the path.
    pub only: Option<String>,
    /// `None`: the call is new, or its state is lost.
    pub state: Option<CallState>,
    pub trace: Headers,
}
