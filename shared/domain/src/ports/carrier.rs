//! The port to a carrier's messaging API. An adapter classifies results; it never retries and never decides.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    Address, Channel, MessageId, Micros,
    clock::Timestamp,
    message::Content,
    rich::{ChatRequest, GroupMember},
};

/// A message for one carrier. Contains a body: must not be logged.
#[derive(Clone)]
pub struct Dispatch {
    pub message: MessageId,
    pub channel: Channel,
    pub from: Address,
    pub to: Address,
    pub content: Content,
    /// The display name of the sender. E-mail only.
    pub sender_name: Option<String>,
    /// The URL for delivery receipts, with the id of the message in its query.
    pub callback: Option<String>,
    /// Calls only, and required for them.
    pub call_urls: Option<CallUrls>,
}

/// The callback URLs of an outbound call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallUrls {
    /// Requested when the call is answered; returns the script.
    pub answer: String,
    /// Receives the status reports of the call.
    pub status: String,
    /// Receives the result of machine detection.
    pub machine: String,
}

/// The result of one send. Sends are at-most-once: after `Unknown` a message is never sent again without reconciliation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The carrier returned 2xx with its id.
    Accepted(CarrierAcceptance),
    /// The carrier definitely did not accept the message.
    Refused(Refusal),
    /// The carrier may have accepted the message: a time-out or reset after the request was sent, or a 5xx.
    Unknown(AmbiguityReason),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierAcceptance {
    pub carrier_id: String,
    /// The carrier's own status, such as `queued`.
    pub carrier_status: String,
    pub segments: Option<u32>,
    /// The price, if the carrier returns it at once.
    pub price: Option<Micros>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RefusalClass {
    /// The recipient is not reachable on this channel.
    Recipient,
    /// The recipient has opted out at the carrier. Recorded as revoked consent.
    OptedOut,
    /// The recipient takes no marketing messages. Recorded as revoked consent to those. Receipts report `OptedOut` instead
    /// (`Receipt::is_marketing_only`).
    OptedOutOfMarketing,
    /// The sender, the credentials or the account is not valid. The operator has to fix it.
    Configuration,
    Content,
    /// The 24-hour window of WhatsApp is closed. Only a template can be sent.
    WindowClosed,
    /// The rate limit is exceeded. The same request may succeed later.
    Throttled,
    /// The connection failed; no request was sent.
    Unreachable,
}

impl RefusalClass {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub class: RefusalClass,
    /// The carrier's own code, for operators: `21610`, `validation_error`.
    pub carrier_code: Option<String>,
    /// The carrier's `Retry-After`, in whole seconds.
    pub retry_after_seconds: Option<u64>,
}

/// The reason why the outcome of a carrier request is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AmbiguityReason {
    TimedOut,
    ConnectionLost,
    /// A 5xx, or a 2xx with an invalid body.
    CarrierFault,
}

impl AmbiguityReason {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The way in which a carrier lets an unknown outcome be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconciliation {
    /// A repeated request with the same key within the window returns the first result. The send itself is the lookup.
    RepeatWithKey { window_seconds: u64 },
    /// The carrier lists accepted messages, which are searched for a match.
    Listing,
    /// The carrier has no lookup. Only a delivery receipt with our id proves acceptance.
    None,
}

/// An accepted message in the carrier's list.
#[derive(Clone)]
pub struct ListedMessage {
    pub carrier_id: String,
    pub carrier_status: String,
    pub body: String,
    pub created_at: Timestamp,
    pub segments: Option<u32>,
    /// The number of its files.
    pub media: u32,
    pub price: Option<Micros>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Permanent: a repeated request returns the same.
    #[error("the carrier does not have it")]
    NotFound,
    #[error("the carrier did not respond")]
    NoResponse,
}

/// A kind of resource that a carrier keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VendorResourceKind {
    /// With its files.
    Message,
    Call,
    Recording,
}

/// The result of a deletion at a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    Deleted,
    /// The carrier does not have it, or not any more.
    Missing,
    /// The carrier has no way to delete it.
    Unsupported,
    /// It may succeed later.
    Failed,
}

/// How long the text of one message may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextLimit {
    Characters(usize),
    /// Units of UTF-16: characters such as emoji have two or more.
    Utf16Units(usize),
}

impl TextLimit {
    pub fn max(self) -> usize {
        match self {
            Self::Characters(max) | Self::Utf16Units(max) => max,
        }
    }

    /// Returns the length of a text, in the unit of the limit.
    pub fn length_of(self, text: &str) -> usize {
        match self {
            Self::Characters(_) => text.chars().count(),
            Self::Utf16Units(_) => text.encode_utf16().count(),
        }
    }

    pub fn allows(self, text: &str) -> bool {
        self.length_of(text) <= self.max()
    }
}

/// The sending API of a carrier, for at least one channel.
#[async_trait]
pub trait Messaging: Send + Sync {
    /// Sends once. Returns within `deadline()`, and never repeats a request.
    async fn send(&self, dispatch: &Dispatch) -> Outcome;

    /// Returns the longest duration of `send`.
    fn deadline(&self) -> std::time::Duration;

    fn reconciliation(&self) -> Reconciliation;

    /// Returns how long the text of such a message may be.
    fn text_limit(&self, content: &Content) -> TextLimit;

    /// Lists the messages sent between these addresses since `since`. Only carriers with `Reconciliation::Listing`
    /// support it; others return an error.
    async fn list(
        &self,
        channel: Channel,
        from: &Address,
        to: &Address,
        since: Timestamp,
    ) -> Result<Vec<ListedMessage>, LookupError>;

    /// Returns whether the carrier can do this on WhatsApp: an action of `comms_whatsapp_action`, or `group_members`.
    fn supports(&self, _action: &str) -> bool {
        false
    }

    /// Performs an action in a chat, once. Called only for actions that `supports` names. `Accepted` has the id of the reaction,
    /// or an empty one.
    async fn act(&self, _request: &ChatRequest) -> Outcome {
        Outcome::Refused(Refusal {
            class: RefusalClass::Configuration,
            carrier_code: None,
            retry_after_seconds: None,
        })
    }

    /// Lists the members of a group. Called only if `supports("group_members")`.
    async fn group_members(&self, _group: &Address) -> Result<Vec<GroupMember>, LookupError> {
        Err(LookupError::NotFound)
    }

    /// Deletes a resource by the carrier's id, once. A repetition returns `Missing`.
    async fn delete(&self, _kind: VendorResourceKind, _id: &str) -> Deletion {
        Deletion::Unsupported
    }

    /// Verifies the credentials with a cheap authenticated read. The error text says how to fix the settings.
    async fn check(&self) -> Result<(), String>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{speech::AudioFormat, webhook::VerificationError};

    #[test]
    fn keeps_wire_strings_of_refusals() {
        for (class, text) in [
            (RefusalClass::Recipient, "recipient"),
            (RefusalClass::OptedOut, "opted_out"),
            (RefusalClass::OptedOutOfMarketing, "opted_out_of_marketing"),
            (RefusalClass::Configuration, "configuration"),
            (RefusalClass::Content, "content"),
            (RefusalClass::WindowClosed, "window_closed"),
            (RefusalClass::Throttled, "throttled"),
            (RefusalClass::Unreachable, "unreachable"),
        ] {
            assert_eq!(class.as_str(), text);
            assert_eq!(serde_json::to_value(class).unwrap(), text);
        }
    }

    #[test]
    fn keeps_labels_of_reasons_and_formats() {
        assert_eq!(AmbiguityReason::TimedOut.as_str(), "timed_out");
        assert_eq!(AmbiguityReason::ConnectionLost.as_str(), "connection_lost");
        assert_eq!(AmbiguityReason::CarrierFault.as_str(), "carrier_fault");
        assert_eq!(VerificationError::NoSecret.as_str(), "no_secret");
        assert_eq!(VerificationError::Unsigned.as_str(), "unsigned");
        assert_eq!(VerificationError::WrongSignature.as_str(), "wrong_signature");
        assert_eq!(VerificationError::Stale.as_str(), "stale");
        assert_eq!(AudioFormat::Mp3.as_str(), "mp3");
        assert_eq!(AudioFormat::Ogg.as_str(), "ogg");
        assert_eq!(AudioFormat::Wav.as_str(), "wav");
    }
}
