//! The content and the status of an outbound message.

use serde::{Deserialize, Serialize};

/// The content of a message. Serialized only for encryption; never logged.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// E-mail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// E-mail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// Public https URLs, fetched by the carrier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// E-mail only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Box<MailOptions>>,
    /// WhatsApp only: buttons, a place or a contact card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rich: Option<Box<crate::rich::Rich>>,
    /// Calls only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<crate::call::CallOptions>,
}

impl Content {
    /// Returns how many people get the message: a mail has one to each address in `cc` and `bcc` besides its recipient.
    pub fn recipients(&self) -> u32 {
        let further = self.mail.as_ref().map_or(0, |mail| mail.cc.len() + mail.bcc.len());
        u32::try_from(further).unwrap_or(u32::MAX).saturating_add(1)
    }
}

/// The parts of an e-mail besides its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailOptions {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cc: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bcc: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Further headers, by name.
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub headers: std::collections::BTreeMap<String, String>,
}

impl MailOptions {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A template approved by the carrier, with the values of its variables.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub id: String,
    pub variables: std::collections::BTreeMap<String, String>,
    /// The template is for one-time codes: variable `1` is the code.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_for_codes: bool,
}

/// References that the agent attaches to a message: a conversation, a business object, the message that it replies to, and the task
/// that it belongs to.
/// Stored and returned unchanged. Embedded in stored JSON with `#[serde(flatten)]`: the field names are part of that format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRef {
    pub thread_id: Option<String>,
    pub entity_id: Option<String>,
    pub reply_msg_id: Option<String>,
    /// A task has a bill and may have a budget.
    pub task_id: Option<String>,
}

/// The status of a message. `Accepted`, `Failed` and `Unconfirmed` are final.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Status {
    /// To be sent later. Never in the table of messages, in which a message begins as `Sending`.
    Scheduled,
    /// Waits for the approval of a person. Never in the table of messages.
    #[serde(rename = "pending_approval")]
    #[strum(serialize = "pending_approval")]
    Held,
    /// Stored. The request to the carrier is pending or in flight.
    Sending,
    /// The carrier has accepted the message and returned its id.
    Accepted,
    /// Refused by the carrier, or by a rule after acceptance. The recipient did not get it.
    Failed,
    /// The carrier may have accepted the message. The reconciler looks it up.
    Unknown,
    /// Reconciliation ended without a result. The agent decides whether to send the message again.
    Unconfirmed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }

    /// Returns the status in API responses: `pending` until the result is known.
    pub fn for_agent(self) -> &'static str {
        match self {
            Self::Sending | Self::Unknown => "pending",
            known => known.as_str(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_wire_strings_of_statuses() {
        for (status, text, for_agent) in [
            (Status::Scheduled, "scheduled", "scheduled"),
            (Status::Held, "pending_approval", "pending_approval"),
            (Status::Sending, "sending", "pending"),
            (Status::Accepted, "accepted", "accepted"),
            (Status::Failed, "failed", "failed"),
            (Status::Unknown, "unknown", "pending"),
            (Status::Unconfirmed, "unconfirmed", "unconfirmed"),
        ] {
            assert_eq!((status.as_str(), status.for_agent()), (text, for_agent));
            assert_eq!(Status::parse(text), Some(status));
            assert_eq!(serde_json::to_value(status).unwrap(), text);
        }
        assert_eq!(Status::parse("Failed"), None);
    }
}
