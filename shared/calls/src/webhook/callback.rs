//! A callback about a call: its kind, and the verified request.

use std::sync::Arc;

use butt_dial_domain::{
    CallId, ProviderAccountId,
    call::CallReport,
    ports::{bus::Headers, voice::Voice},
};

use butt_dial_messaging::inbound::{WebhookRefusal, envelope::digest};

use super::super::{handle::Calls, state::CallState};

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
    /// The recording of the conversation can be fetched, or there is none.
    Recorded,
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
            "recorded" => Self::Recorded,
            "whisper" => Self::Whisper,
            "dialled" => Self::Dialled,
            _ => return None,
        })
    }

    /// Returns whether the report must be durable before the carrier gets its response. Otherwise a person on the line waits
    /// for the response, and an error would end the call.
    pub(super) fn must_precede_response(self) -> bool {
        match self {
            Self::Status | Self::Machine | Self::Message | Self::Recording | Self::Recorded => true,
            Self::Incoming | Self::Answer | Self::Action | Self::Whisper | Self::Dialled => false,
        }
    }
}

/// A verified callback.
pub(super) struct CallWebhook {
    pub carrier: &'static str,
    pub voice: Arc<dyn Voice>,
    pub report: CallReport,
    /// The account at the carrier that reports, if it is not the installation's own. It speaks for its own calls only.
    pub account: Option<String>,
    /// The account of an organization that signed it. `None`: the installation's own.
    pub owner: Option<ProviderAccountId>,
    /// The host's id of the agent in the path.
    pub only: Option<String>,
    /// `None`: the call is new, or its state is lost.
    pub state: Option<CallState>,
    pub trace: Headers,
}

impl CallWebhook {
    /// Returns the account that reports, if it is not the installation's own.
    fn reporter(&self) -> Option<&str> {
        let owner = self.owner.as_ref().map(ProviderAccountId::as_str);
        owner.or(self.account.as_deref())
    }

    /// Returns the id of the call, if it is an inbound one.
    pub fn inbound_call_id(&self) -> CallId {
        inbound_call_id(self.carrier, self.reporter(), &self.report.carrier_id)
    }

    /// Refuses the report of an account about what belongs to another one.
    pub fn refuse_account(&self, calls: &Calls) -> WebhookRefusal {
        refuse_account(calls, self.carrier)
    }
}

pub(super) fn refuse_account(calls: &Calls, carrier: &str) -> WebhookRefusal {
    tracing::warn!(carrier, "report of another account about this call or number refused");
    calls.record_webhook(carrier, "wrong_account");
    WebhookRefusal::Unknown
}

/// Returns the id of an inbound call. It is the same for each retry of the carrier, and differs from those of another account's
/// calls.
pub(super) fn inbound_call_id(carrier: &str, account: Option<&str>, carrier_id: &str) -> CallId {
    let parts: Vec<&str> = [carrier].into_iter().chain(account).chain([carrier_id]).collect();
    CallId::from(format!("{}{}", CallId::PREFIX, digest(&parts)))
}
