//! The JSON of Resend's events and received mails (Resend, Webhooks: Event types; Receiving emails). All fields that
//! Resend may omit are optional.

use butt_dial_domain::{MessageId, clock::Timestamp, ids::is_valid_host_id, inbound::Attachment};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::wire;

#[derive(Deserialize)]
pub struct Event {
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub data: Value,
}

/// A received mail: as the event `email.received` announces it, or with its text as the API returns it.
#[derive(Deserialize)]
pub struct Mail {
    #[serde(default)]
    email_id: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    pub from: String,
    #[serde(default)]
    pub to: Vec<String>,
    #[serde(default)]
    pub received_for: Vec<String>,
    #[serde(default)]
    pub subject: Option<String>,
    #[serde(default)]
    pub text: Option<String>,
    #[serde(default)]
    pub html: Option<String>,
    #[serde(default)]
    headers: Value,
    #[serde(default)]
    attachments: Vec<Attached>,
}

#[derive(Deserialize)]
struct Attached {
    id: String,
    #[serde(default)]
    filename: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    size: Option<u64>,
}

#[derive(Deserialize)]
pub struct Download {
    pub download_url: String,
}

impl Mail {
    pub fn id(&self) -> Option<&str> {
        self.email_id.as_deref().filter(|id| is_id(id))
    }

    pub fn created_at(&self) -> Option<Timestamp> {
        let at = DateTime::parse_from_rfc3339(self.created_at.as_deref()?).ok()?;
        Some(at.with_timezone(&Utc))
    }

    /// Returns the value of a header. The case of header names varies between mails.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.as_object()?.iter();
        let (_, value) = headers.find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        value.as_str().map(str::trim).filter(|value| !value.is_empty())
    }

    /// Returns the attachments. Each source holds the mail id as well, because the API needs both ids.
    pub fn attachments(&self, mail: &str) -> Vec<Attachment> {
        let good = self.attachments.iter().filter(|attached| is_id(&attached.id));
        let attachments = good.map(|attached| Attachment {
            source: format!("{mail}/{}", attached.id),
            content_type: attached.content_type.clone(),
            filename: attached.filename.clone(),
            size: attached.size,
            is_voice: false,
        });
        attachments.collect()
    }
}

/// A sent mail, in an event about it.
#[derive(Deserialize)]
pub struct Outgoing {
    pub email_id: String,
    #[serde(default)]
    pub from: Value,
    #[serde(default)]
    tags: Value,
    #[serde(default)]
    pub bounce: Option<Reason>,
    #[serde(default)]
    pub failed: Option<Reason>,
    #[serde(default)]
    pub suppressed: Option<Reason>,
}

#[derive(Deserialize)]
pub struct Reason {
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    #[serde(rename = "subType", default)]
    pub sub_type: Option<String>,
    #[serde(default)]
    pub reason: Option<String>,
}

impl Outgoing {
    /// Returns our message id from the tags, which Resend returns as an object or as the list that was sent.
    pub fn our_id(&self) -> Option<MessageId> {
        let id = match &self.tags {
            Value::Object(tags) => tags.get(wire::TAG)?.as_str()?,
            Value::Array(tags) => tags.iter().find(|tag| tag["name"] == wire::TAG)?["value"].as_str()?,
            _ => return None,
        };
        is_valid_host_id(id).then(|| MessageId::from(id))
    }
}

/// Returns whether the text is an id, which becomes part of a path.
pub fn is_id(text: &str) -> bool {
    is_valid_host_id(text)
}
