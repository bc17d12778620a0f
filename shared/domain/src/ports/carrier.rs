//! The port to a carrier's messaging API. An adapter classifies; it never retries and never decides.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{Address, Channel, MessageId, Micros, clock::Timestamp, message::Content};

/// A message on its way to one carrier. Holds a body: must not be logged.
#[derive(Clone)]
pub struct Dispatch {
    pub message: MessageId,
    pub channel: Channel,
    pub from: Address,
    pub to: Address,
    pub content: Content,
    /// Shown beside an e-mail's sender address.
    pub sender_name: Option<String>,
    /// Where the carrier is to tell what became of it, with our message's id in its query.
    pub callback: Option<String>,
    /// Calls only: where the carrier asks and tells. Without them no call can be placed.
    pub call_urls: Option<CallUrls>,
}

/// What a carrier is told about a call that it places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallUrls {
    /// Asked what to do once somebody answers.
    pub answer: String,
    /// Told of the call's progress.
    pub status: String,
    /// Told who answered.
    pub machine: String,
}

/// Every try ends as exactly one of these (at-most-once: `Unknown` is never sent again blindly).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx with the carrier's id.
    Accepted(CarrierAcceptance),
    /// The carrier definitely did not take it.
    Refused(Refusal),
    /// The request may have been taken: a time-out or a reset after bytes left, or a 5xx.
    Unknown(AmbiguityReason),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarrierAcceptance {
    pub carrier_id: String,
    /// The carrier's own word for the state, such as `queued`.
    pub carrier_status: String,
    pub segments: Option<u32>,
    /// The price, where the carrier tells it at once.
    pub price: Option<Micros>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalClass {
    /// This recipient can't be reached on this channel.
    Recipient,
    /// The recipient has opted out at the carrier: to be written down as revoked consent.
    OptedOut,
    /// Sender, credentials or account are not in order: the operator has to act.
    Configuration,
    Content,
    /// WhatsApp's 24-hour window is closed: only a template would pass.
    WindowClosed,
    /// Too fast; the same request may succeed later.
    Throttled,
    /// Nothing was sent: the connection could not be made.
    Unreachable,
}

impl RefusalClass {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recipient => "recipient",
            Self::OptedOut => "opted_out",
            Self::Configuration => "configuration",
            Self::Content => "content",
            Self::WindowClosed => "window_closed",
            Self::Throttled => "throttled",
            Self::Unreachable => "unreachable",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub class: RefusalClass,
    /// The carrier's own code, for operators: `21610`, `validation_error`.
    pub carrier_code: Option<String>,
    /// Whole seconds, where the carrier said so.
    pub retry_after_seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AmbiguityReason {
    TimedOut,
    ConnectionLost,
    /// 5xx, or a 2xx that makes no sense.
    CarrierFault,
    /// The process that held the request ended.
    SenderDied,
}

impl AmbiguityReason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::ConnectionLost => "connection_lost",
            Self::CarrierFault => "carrier_fault",
            Self::SenderDied => "sender_died",
        }
    }
}

/// What finding out about an unknown send needs, and what the carrier offers for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconciliation {
    /// A repeat with the same key within this many seconds returns the first result: the send itself is the question.
    RepeatWithKey { window_seconds: u64 },
    /// The carrier lists what it took; a match is looked for.
    Listing,
    /// The carrier can't be asked. Only a receipt that brings our id back tells that it was taken.
    None,
}

/// A message that the carrier says it took.
#[derive(Clone)]
pub struct ListedMessage {
    pub carrier_id: String,
    pub carrier_status: String,
    pub body: String,
    pub created_at: Timestamp,
    pub price: Option<Micros>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// Asking again changes nothing.
    #[error("the carrier does not have it")]
    NotThere,
    #[error("the carrier did not answer")]
    NoAnswer,
}

/// A carrier that can send on at least one channel.
#[async_trait]
pub trait Messaging: Send + Sync {
    /// Sends once. The deadline lies inside: the answer comes within `deadline()`.
    async fn send(&self, dispatch: &Dispatch) -> Outcome;

    /// The longest that `send` takes.
    fn deadline(&self) -> std::time::Duration;

    fn reconciliation(&self) -> Reconciliation;

    /// What was sent from and to these addresses since `since`. Only asked of carriers with `Reconciliation::Listing`.
    async fn list(
        &self,
        channel: Channel,
        from: &Address,
        to: &Address,
        since: Timestamp,
    ) -> Result<Vec<ListedMessage>, LookupError>;

    /// Whether the credentials work: a cheap authenticated read. The text says how to mend what fails.
    async fn check(&self) -> Result<(), String>;
}
