//! How an event looks to whoever reads it: the same over push, poll, waiting messages and callbacks.

use butt_dial_domain::{OrgId, inbound::InboundMessage};
use butt_dial_store::Event;
use chrono::SecondsFormat;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Comms;

/// The kind of an event that a person's message is.
pub const MESSAGE_RECEIVED: &str = "message.received";
pub const MESSAGE_STATUS: &str = "message.status";
/// A person does not want to hear from us, as a carrier tells it.
pub const CONTACT_OPTED_OUT: &str = "contact.opted_out";
/// A telephone call is over.
pub const CALL_ENDED: &str = "call.ended";
/// Every kind of event that there is, with what it tells.
pub const KINDS: [(&str, &str); 4] = [
    (
        MESSAGE_RECEIVED,
        "A person or another agent has written to you. With bodyPending its text comes later, in an event that completes it.",
    ),
    (MESSAGE_STATUS, "What became of a message of yours."),
    (
        CONTACT_OPTED_OUT,
        "A person does not want to hear from you, as the carrier says.",
    ),
    (CALL_ENDED, "A telephone call of yours is over."),
];

/// What is kept, encrypted, of an event until its agent has it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Content {
    pub message: InboundMessage,
    /// Our own links to the attachments, in their order; empty until they have been fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<StoredAttachment>,
}

/// An attachment that is ours now, or why it is not.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredAttachment {
    /// Signed and expiring. `None`: it could not be fetched.
    pub url: Option<String>,
    pub content_type: String,
    pub filename: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Content {
    pub fn seal(&self, comms: &Comms, org: &OrgId, event: &str) -> Vec<u8> {
        // Made of strings, numbers and lists of them: it always serializes.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        comms.vault.encrypt(org, event, &plain)
    }

    pub fn open(comms: &Comms, org: &OrgId, event: &str, sealed: &[u8]) -> Option<Self> {
        let plain = comms.vault.decrypt(org, event, sealed);
        let plain = plain.inspect_err(|error| tracing::error!(%error, event, "what was said in an event is lost"));
        serde_json::from_slice(&plain.ok()?).ok()
    }
}

/// The event as an object. Holds what was said, as long as it is kept: must not be logged.
pub fn view(comms: &Comms, org: &OrgId, event: &Event) -> Map<String, Value> {
    let mut view = match &event.data {
        Value::Object(fields) => fields.clone(),
        other => Map::from_iter([("data".to_owned(), other.clone())]),
    };
    let content = event
        .content
        .as_deref()
        .and_then(|sealed| Content::open(comms, org, &event.id, sealed));
    if let Some(content) = &content {
        add_content(&mut view, content);
    }
    view.insert("id".into(), json!(event.id));
    view.insert("seq".into(), json!(event.seq));
    view.insert("event".into(), json!(event.kind));
    view.insert("reason".into(), json!(event.reason));
    view.entry("timestamp")
        .or_insert_with(|| json!(event.created_at.to_rfc3339_opts(SecondsFormat::Millis, true)));
    view
}

fn add_content(view: &mut Map<String, Value>, content: &Content) {
    let message = &content.message;
    let mut put = |key: &str, value: Value| {
        view.insert(key.to_owned(), value);
    };
    for (key, text) in [
        ("body", &message.body),
        ("subject", &message.subject),
        ("html", &message.html),
    ] {
        if let Some(text) = text {
            put(key, json!(text));
        }
    }
    let attachments: Vec<Value> = content.links.iter().map(attachment).collect();
    if let Some(first) = content.links.first() {
        if let Some(url) = &first.url {
            put("mediaUrl", json!(url));
        }
        put("mediaType", json!(coarse(&first.content_type)));
        put("mimeType", json!(first.content_type));
        if let Some(name) = &first.filename {
            put("fileName", json!(name));
        }
    }
    if !attachments.is_empty() {
        put("attachments", Value::Array(attachments));
    }
    let is_spoken = message.attachments.iter().any(|attachment| attachment.is_voice);
    if is_spoken || message.call.is_some() {
        put("isVoiceMessage", json!(true));
    }
    if let Some(transcript) = &message.transcript {
        put("voiceTranscription", json!(transcript));
    }
    if let Some(call) = &message.call {
        put("callId", json!(call));
    }
}

fn attachment(stored: &StoredAttachment) -> Value {
    let mut fields = Map::new();
    // The Python client's names.
    fields.insert("contentType".into(), json!(stored.content_type));
    for (key, value) in [
        ("filename", &stored.filename),
        ("url", &stored.url),
        ("error", &stored.error),
    ] {
        if let Some(text) = value {
            fields.insert(key.into(), json!(text));
        }
    }
    if let Some(size) = stored.size {
        fields.insert("size".into(), json!(size));
    }
    Value::Object(fields)
}

/// The word of WhatsApp's for a kind of content.
pub(super) fn coarse(content_type: &str) -> &'static str {
    match content_type.split('/').next() {
        Some("image") => "image",
        Some("audio") => "audio",
        Some("video") => "video",
        _ => "document",
    }
}
