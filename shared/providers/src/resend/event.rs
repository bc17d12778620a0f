//! The JSON of Resend's events and received mails (Resend, Webhooks: Event types; Receiving emails). All fields that
//! Resend may omit are optional.

use butt_dial_domain::{MessageId, clock::Timestamp, ids::is_valid_host_id, inbound::Attachment};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::wire;
use crate::json;

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
    #[serde(default, deserialize_with = "json::lenient")]
    email_id: Option<String>,
    #[serde(default, deserialize_with = "json::lenient")]
    created_at: Option<String>,
    #[serde(default, deserialize_with = "json::lenient")]
    pub from: String,
    #[serde(default, deserialize_with = "listed")]
    pub to: Vec<String>,
    #[serde(default, deserialize_with = "listed")]
    pub cc: Vec<String>,
    #[serde(default, deserialize_with = "listed")]
    pub bcc: Vec<String>,
    #[serde(default, deserialize_with = "listed")]
    pub reply_to: Vec<String>,
    #[serde(default, deserialize_with = "listed")]
    pub received_for: Vec<String>,
    #[serde(default, deserialize_with = "json::lenient")]
    message_id: Option<String>,
    #[serde(default, deserialize_with = "json::lenient")]
    pub subject: Option<String>,
    #[serde(default, deserialize_with = "json::lenient")]
    pub text: Option<String>,
    #[serde(default, deserialize_with = "json::lenient")]
    pub html: Option<String>,
    #[serde(default)]
    headers: Value,
    #[serde(default, deserialize_with = "json::lenient_list")]
    attachments: Vec<Attached>,
}

/// Reads a list of texts, one text, or nothing.
fn listed<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    Ok(match Value::deserialize(value)? {
        Value::String(text) => vec![text],
        Value::Array(items) => items
            .into_iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    })
}

#[derive(Deserialize)]
struct Attached {
    id: String,
    #[serde(default, deserialize_with = "json::lenient")]
    filename: Option<String>,
    #[serde(default, deserialize_with = "json::lenient")]
    content_type: Option<String>,
    #[serde(default, deserialize_with = "json::lenient")]
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

    /// Returns the id in the header `Message-ID`, with its angle brackets.
    pub fn message_id(&self) -> Option<&str> {
        let given = self.message_id.as_deref().map(str::trim).filter(|id| !id.is_empty());
        given.or_else(|| self.header("Message-ID"))
    }

    /// Returns the value of a header. The headers are an object or a list of names and values; the case of names varies
    /// between mails.
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = match &self.headers {
            Value::Object(headers) => headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1,
            Value::Array(headers) => {
                // Of objects or of pairs.
                let is_named = |header: &&Value| {
                    let key = header
                        .get("name")
                        .or_else(|| header.get("key"))
                        .or_else(|| header.get(0));
                    let key = key.and_then(Value::as_str);
                    key.is_some_and(|key| key.eq_ignore_ascii_case(name))
                };
                let header = headers.iter().find(is_named)?;
                header.get("value").or_else(|| header.get(1))?
            }
            _ => return None,
        };
        // A header that occurs several times can be a list.
        let value = value.as_array().and_then(|values| values.first()).unwrap_or(value);
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
    #[serde(default, deserialize_with = "json::lenient")]
    pub bounce: Option<Reason>,
    #[serde(default, deserialize_with = "json::lenient")]
    pub failed: Option<Reason>,
    #[serde(default, deserialize_with = "json::lenient")]
    pub suppressed: Option<Reason>,
}

#[derive(Deserialize)]
pub struct Reason {
    #[serde(rename = "type", default, deserialize_with = "json::lenient")]
    pub kind: Option<String>,
    #[serde(rename = "subType", default, deserialize_with = "json::lenient")]
    pub sub_type: Option<String>,
    #[serde(default, deserialize_with = "json::lenient")]
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
