//! An outbound message: what it holds, and the states that it passes through.

use serde::{Deserialize, Serialize};

/// What is sent. Serialized only to be encrypted; never logged.
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
    /// Public https URLs that the carrier fetches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Calls only: how the carrier is to place it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<crate::call::CallOptions>,
}

/// A text that the carrier has approved, with the values for its gaps.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Template {
    pub id: String,
    pub variables: std::collections::BTreeMap<String, String>,
}

/// References that the agent attaches to a message: a conversation, a business object and the message that it replies to.
/// Stored and returned unchanged. Embedded in stored JSON with `#[serde(flatten)]`: the field names are part of that format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRef {
    pub thread_id: Option<String>,
    pub entity_id: Option<String>,
    pub reply_msg_id: Option<String>,
}

/// A message's state. Once it is accepted, failed or unconfirmed it stays so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It leaves later. Never in the table of messages: there it begins as `Sending`.
    Scheduled,
    /// Written down; the request to the carrier is about to leave or under way.
    Sending,
    /// The carrier has it, and gave an id.
    Accepted,
    /// The carrier, or a rule of ours after acceptance, said no. Nothing was delivered.
    Failed,
    /// It is not known whether the carrier took it; the reconciler is asking.
    Unknown,
    /// It could not be found out. Sending it again is a choice that the agent has to make.
    Unconfirmed,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
            Self::Unconfirmed => "unconfirmed",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Sending,
            Self::Accepted,
            Self::Failed,
            Self::Unknown,
            Self::Unconfirmed,
        ]
        .into_iter()
        .find(|s| s.as_str() == text)
    }

    /// What the agent reads: `pending` as long as nothing is certain.
    pub fn for_agent(self) -> &'static str {
        match self {
            Self::Sending | Self::Unknown => "pending",
            settled => settled.as_str(),
        }
    }
}
