//! Webhook events of carriers: inbound messages and delivery receipts.

use serde::{Deserialize, Serialize};

use crate::{Address, CallId, Channel, MessageId, Micros, clock::Timestamp, ports::carrier::RefusalClass, text};

/// One event of a webhook request. Serialized into the durable stream, with message bodies: must not be logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum WebhookEvent {
    Message(Box<InboundMessage>),
    Receipt(Receipt),
}

/// A person's message to one of our addresses.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InboundMessage {
    /// The carrier's id of the message, the same in each retry of the webhook.
    pub carrier_id: String,
    pub channel: Channel,
    /// Normalized.
    pub from: String,
    /// One of our addresses, normalized.
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
    /// The carrier's id of the message that this one replies to; `In-Reply-To` of an e-mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_reply_to: Option<String>,
    /// The carrier's time of sending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// The keyword that the carrier has recognized and replied to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_keyword: Option<Keyword>,
    /// Voicemail only: the transcript, one line per utterance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcript: Option<String>,
    /// Voicemail only: the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<CallId>,
    /// The account at the carrier that reported the message, if it is not the installation's own: it speaks for its own
    /// addresses only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The webhook has no body: it is fetched later, with `Webhooks::fetch_content`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incomplete: bool,
}

/// An attachment. Fetched with the request of `Webhooks::media`, never from `source` directly.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The carrier's URL or id of the content.
    pub source: String,
    /// As reported by the carrier. Has to be verified against the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// A voice recording, not any other audio file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_voice: bool,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A consent keyword with a legal meaning (47 CFR 64.1200(a)(10)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Keyword {
    Stop,
    Start,
    Help,
}

impl Keyword {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A delivery receipt: the carrier's report about a message that it has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The carrier's id of the message.
    pub carrier_id: String,
    /// Our id of the message, if the carrier returns it. It proves acceptance even when the carrier's id is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<MessageId>,
    pub channel: Channel,
    /// Our address that the message was sent from, normalized, if the carrier returns it. Not stored in the stream: it finds the
    /// agent, so that receipts keep their order with the agent's messages.
    #[serde(skip)]
    pub sender: Option<String>,
    pub stage: DeliveryStatus,
    /// The carrier's error code of a failed message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// The meaning of that code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RefusalClass>,
    /// The price, if the carrier reports it in receipts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Micros>,
}

/// The delivery status of a message. Receipts arrive in any order; a lower `rank` never replaces a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum DeliveryStatus {
    Accepted,
    Queued,
    Sending,
    Sent,
    Delivered,
    /// Rejected by the network or the recipient. Charged.
    Undelivered,
    /// Not sent to the network.
    Failed,
    Read,
}

impl DeliveryStatus {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// Returns the rank. A receipt is applied only when its rank is higher than that of every earlier receipt: a delivered
    /// message can become read, but not queued or undelivered.
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

/// Hides bodies and full addresses, which must not be logged.
impl std::fmt::Debug for InboundMessage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InboundMessage")
            .field("carrier_id", &self.carrier_id)
            .field("channel", &self.channel)
            .field("attachments", &self.attachments.len())
            .finish_non_exhaustive()
    }
}

/// Characters of a name or a subject that a person or a carrier supplies.
const MAX_LINE: usize = 1_000;
const MAX_NAME: usize = 128;

impl InboundMessage {
    /// Removes what a reader can't see: control and direction characters, and line breaks from names. Names are cut to 128
    /// characters, the subject to 1,000.
    #[must_use]
    pub fn cleaned(mut self) -> Self {
        let name = |name: String| Some(text::clean_line(&name, MAX_NAME)).filter(|name| !name.is_empty());
        self.sender_name = self.sender_name.and_then(name);
        if let Some(group) = &mut self.group {
            group.name = group.name.take().and_then(name);
        }
        self.subject = self.subject.map(|subject| text::clean_line(&subject, MAX_LINE));
        self.body = self.body.map(|body| text::clean(&body));
        for attachment in &mut self.attachments {
            attachment.filename = attachment.filename.take().and_then(name);
        }
        self
    }
}

impl InboundMessage {
    /// Creates an empty message between two addresses.
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
            account: None,
            incomplete: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_wire_strings_and_ranks_of_statuses() {
        for (status, text, rank) in [
            (DeliveryStatus::Accepted, "accepted", 0),
            (DeliveryStatus::Queued, "queued", 1),
            (DeliveryStatus::Sending, "sending", 2),
            (DeliveryStatus::Sent, "sent", 3),
            (DeliveryStatus::Delivered, "delivered", 4),
            (DeliveryStatus::Undelivered, "undelivered", 4),
            (DeliveryStatus::Failed, "failed", 4),
            (DeliveryStatus::Read, "read", 5),
        ] {
            assert_eq!((status.as_str(), status.rank()), (text, rank));
            assert_eq!(DeliveryStatus::parse(text), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), text);
        }
        assert_eq!(DeliveryStatus::parse("lost"), None);
    }

    #[test]
    fn keeps_wire_strings_of_keywords() {
        for (keyword, text) in [
            (Keyword::Stop, "stop"),
            (Keyword::Start, "start"),
            (Keyword::Help, "help"),
        ] {
            assert_eq!(keyword.as_str(), text);
            assert_eq!(serde_json::to_value(keyword).unwrap(), text);
        }
    }

    #[test]
    fn debug_hides_body_and_addresses() {
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
