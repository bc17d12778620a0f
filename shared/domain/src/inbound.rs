//! What carriers tell us: that a person wrote, or what became of a message of ours.

use serde::{Deserialize, Serialize};

use crate::{Address, CallId, Channel, MessageId, Micros, clock::Timestamp, ports::carrier::RefusalClass};

/// One thing that happened, as one webhook tells it. Serialized into the durable stream, with bodies: never logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum WebhookEvent {
    Message(Box<InboundMessage>),
    Receipt(Receipt),
}

/// A person's message to one of our addresses.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundMessage {
    /// The carrier's own id of this message: the same for each of its retries.
    pub carrier_id: String,
    pub channel: Channel,
    /// Normalized.
    pub from: String,
    /// Normalized: one of our addresses.
    pub to: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// E-mail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// E-mail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// The carrier's id of the message that this one answers; for e-mail the `In-Reply-To`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// When the carrier says that it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// The carrier has recognized this keyword and answered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_keyword: Option<Keyword>,
    /// What was said, line by line, where it was said on the telephone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// The call that it was left on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// The webhook held no body: it is fetched afterwards, with `Webhooks::fetch_content`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// Something beside the text. Fetched through `Webhooks::media`, never from `source` as it stands.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The carrier's URL or id of the content.
    pub source: String,
    /// As the carrier says; to be checked against the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Spoken into the telephone, not a piece of music.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_voice: bool,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A word that people send to a sender instead of a message, and that has a meaning by law (47 CFR 64.1200(a)(10)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keyword {
    Stop,
    Start,
    Help,
}

impl Keyword {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Help => "help",
        }
    }
}

/// What became of a message that a carrier took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The carrier's id of the message.
    pub carrier_id: String,
    /// Our own id, where the carrier gives it back: it proves acceptance even when we never saw the carrier's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    pub channel: Channel,
    pub stage: DeliveryStatus,
    /// The carrier's code, where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What that code means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RefusalClass>,
    /// The price, where the carrier tells it here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Micros>,
}

/// Where a message is on its way. Receipts come in any order; a message never goes back (`rank`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryStatus {
    Accepted,
    Queued,
    Sending,
    Sent,
    Delivered,
    /// The network or the recipient did not take it; it was paid for.
    Undelivered,
    /// It was never sent on.
    Failed,
    Read,
}

impl DeliveryStatus {
    pub const ALL: [Self; 8] = [
        Self::Accepted,
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Delivered,
        Self::Undelivered,
        Self::Failed,
        Self::Read,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Read => "read",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.as_str() == text)
    }

    /// A receipt counts only when its rank is higher than that of every receipt before: a message that was delivered can be
    /// read, but not queued again, and not undelivered.
    pub fn rank(self) -> i64 {
        match self {
            Self::Accepted => 0,
            Self::Queued => 1,
            Self::Sending => 2,
            Self::Sent => 3,
            Self::Delivered | Self::Undelivered | Self::Failed => 4,
            Self::Read => 5,
        }
    }
}

/// Bodies and whole addresses must not reach a log.
impl std::fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InboundMessage")
            .field("carrier_id", &self.carrier_id)
            .field("channel", &self.channel)
            .field("attachments", &self.attachments.len())
            .finish_non_exhaustive()
    }
}

impl InboundMessage {
    /// With nothing in it but where it comes from and goes to.
    pub fn new(carrier_id: impl Into<String>, channel: Channel, from: &Address, to: &Address) -> Self {
        Self {
            carrier_id: carrier_id.into(),
            channel,
            from: from.as_str().to_owned(),
            to: to.as_str().to_owned(),
            body: None,
            subject: None,
            html: None,
            attachments: Vec::new(),
            sender_name: None,
            group: None,
            in_reply_to: None,
            sent_at: None,
            answered_keyword: None,
            transcript: None,
            call: None,
            incomplete: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_read_as_they_are_written() {
        for stage in DeliveryStatus::ALL {
            assert_eq!(DeliveryStatus::parse(stage.as_str()), Some(stage));
        }
        assert!(DeliveryStatus::Read.rank() > DeliveryStatus::Delivered.rank());
        assert_eq!(
            DeliveryStatus::Delivered.rank(),
            DeliveryStatus::Undelivered.rank(),
            "the first of them stands"
        );
    }

    #[test]
    fn a_body_is_not_printed() {
        let from = Address::parse(Channel::Sms, "+14155550123").unwrap();
        let message = InboundMessage {
            body: Some("a secret".into()),
            ..InboundMessage::new("SM1", Channel::Sms, &from, &from)
        };
        let printed = format!("{:?}", WebhookEvent::Message(Box::new(message)));
        assert!(
            !printed.contains("secret") && !printed.contains("4155550123"),
            "{printed}"
        );
    }
}
