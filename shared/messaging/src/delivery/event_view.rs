//! The JSON form of an event: the same for push, polling, pending events and callbacks.

use butt_dial_domain::{Channel, OrgId};
use butt_dial_store::AgentEvent;
use butt_dial_vault::Vault;
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use crate::{EventContent, StoredAttachment, mail, tainted_texts};

/// A message from a contact or another agent.
pub const MESSAGE_RECEIVED: &str = "message.received";
pub const MESSAGE_STATUS: &str = "message.status";
/// A carrier reports that a contact opted out.
pub const CONTACT_OPTED_OUT: &str = "contact.opted_out";
/// The agent's messages to a contact are paused, because a program answers there.
pub const CONTACT_PAUSED: &str = "contact.paused";
/// A person answers a contact in place of the agent.
pub const CONVERSATION_TAKEN_OVER: &str = "conversation.taken_over";
/// The agent answers the contact again.
pub const CONVERSATION_RETURNED: &str = "conversation.returned";
/// A call has ended.
pub const CALL_ENDED: &str = "call.ended";
/// The recording of a call is stored.
pub const CALL_RECORDED: &str = "call.recorded";
/// The agent was suspended.
pub const AGENT_SUSPENDED: &str = "agent.suspended";
/// A budget has reached a percentage of its limit.
pub const BUDGET_ALERT: &str = "budget.alert";
/// The rent of a number was charged beyond a budget.
pub const RENT_OVER_BUDGET: &str = "number.rent_over_budget";
/// Every kind of event, with its description for clients.
pub const EVENT_KINDS: [(&str, &str); 11] = [
    (
        MESSAGE_RECEIVED,
        "A contact or another agent sent you a message. With bodyPending, its text follows in an event that completes it.",
    ),
    (MESSAGE_STATUS, "The status of a message that you sent has changed."),
    (
        CONTACT_OPTED_OUT,
        "The carrier reports that a contact opted out of your messages.",
    ),
    (
        CONTACT_PAUSED,
        "Your messages to a contact that answers like a program are paused until pausedUntil.",
    ),
    (
        CONVERSATION_TAKEN_OVER,
        "A person answers a contact in your place until takenOverUntil: your messages to it are refused.",
    ),
    (
        CONVERSATION_RETURNED,
        "A person has given a conversation back: you may write to the contact again.",
    ),
    (CALL_ENDED, "One of your calls has ended."),
    (
        CALL_RECORDED,
        "The recording of one of your calls is stored; attachments has its link.",
    ),
    (AGENT_SUSPENDED, "You have been suspended: you can't send or call."),
    (BUDGET_ALERT, "You have spent 50, 80 or 100 percent of a budget."),
    (
        RENT_OVER_BUDGET,
        "The monthly rent of your number was charged although it exceeds a budget.",
    ),
];

/// Builds the JSON form of an event. It holds the content as long as it is stored, and must not be logged.
pub fn view(vault: &Vault, org: &OrgId, event: &AgentEvent) -> Map<String, Value> {
    let mut view = match &event.data {
        Value::Object(fields) => fields.clone(),
        other => Map::from_iter([("data".to_owned(), other.clone())]),
    };
    let content = event
        .content
        .as_deref()
        .and_then(|sealed| EventContent::open(vault, org, &event.id, sealed));
    match &content {
        // It is no message of the person.
        Some(content) if content.message.call_recording.is_some() => add_attachments(&mut view, &content.links),
        Some(content) => add_content(&mut view, content),
        None => {}
    }
    view.insert("id".into(), json!(event.id));
    view.insert("seq".into(), json!(event.seq));
    view.insert("event".into(), json!(event.kind));
    view.insert("reason".into(), json!(event.reason.to_string()));
    view.entry("timestamp")
        .or_insert_with(|| json!(event.created_at.to_rfc3339_opts(SecondsFormat::Millis, true)));
    view
}

fn add_content(view: &mut Map<String, Value>, content: &EventContent) {
    let message = &content.message;
    let mut put = |key: &str, value: Value| {
        view.insert(key.to_owned(), value);
    };
    // A mail without a text has none: its subject and its files say what it is.
    let body = match message.channel {
        Channel::Email => message.body.clone(),
        _ => message.readable_body(),
    };
    for (key, text) in [("body", &body), ("subject", &message.subject), ("html", &message.html)] {
        if let Some(text) = text {
            put(key, json!(text));
        }
    }
    let parts = message.all_parts();
    if !parts.is_empty() {
        put("parts", json!(parts));
    }
    mail::add_content(view, message);
    let mut put = |key: &str, value: Value| {
        view.insert(key.to_owned(), value);
    };
    if let Some(taint) = content.taint {
        put(tainted_texts::TAINT, tainted_texts::view(taint));
    }
    if let Some(session) = &content.session {
        put("session", session.clone());
    }
    let is_spoken = message.attachments.iter().any(|attachment| attachment.is_voice);
    if is_spoken || message.call.is_some() || message.transcript.is_some() {
        put("isVoiceMessage", json!(true));
    }
    if let Some(transcript) = &message.transcript {
        put("voiceTranscription", json!(transcript));
    }
    if let Some(call) = &message.call {
        put("callId", json!(call));
    }
    add_attachments(view, &content.links);
}

fn add_attachments(view: &mut Map<String, Value>, links: &[StoredAttachment]) {
    let Some(first) = links.first() else { return };
    let mut put = |key: &str, value: Value| {
        view.insert(key.to_owned(), value);
    };
    if let Some(url) = &first.url {
        put("mediaUrl", json!(url));
    }
    put("mediaType", json!(coarse_media_type(&first.content_type)));
    put("mimeType", json!(first.content_type));
    if let Some(name) = &first.filename {
        put("fileName", json!(name));
    }
    put("attachments", links.iter().enumerate().map(attachment).collect());
}

fn attachment((number, stored): (usize, &StoredAttachment)) -> Value {
    let filename = Some(
        stored
            .filename
            .clone()
            .unwrap_or_else(|| file_name(number + 1, &stored.content_type)),
    );
    let mut fields = Map::new();
    // The names that the Python client reads.
    fields.insert("contentType".into(), json!(stored.content_type));
    for (key, value) in [("filename", &filename), ("url", &stored.url), ("error", &stored.error)] {
        if let Some(text) = value {
            fields.insert(key.into(), json!(text));
        }
    }
    if let Some(size) = stored.size {
        fields.insert("size".into(), json!(size));
    }
    Value::Object(fields)
}

/// Names a file that its sender has not named.
fn file_name(number: usize, content_type: &str) -> String {
    let (kind, subtype) = content_type.split_once('/').unwrap_or(("file", "bin"));
    let subtype = subtype.split(';').next().unwrap_or_default().trim();
    let is_plain =
        !subtype.is_empty() && subtype.len() <= 8 && subtype.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let extension = match subtype {
        "jpeg" => "jpg",
        "mpeg" if kind == "audio" => "mp3",
        "plain" => "txt",
        subtype if is_plain => subtype,
        _ => "bin",
    };
    format!("{}-{number}.{extension}", coarse_media_type(content_type))
}

/// WhatsApp's media type of a content type.
pub(super) fn coarse_media_type(content_type: &str) -> &'static str {
    match content_type.split('/').next() {
        Some("image") => "image",
        Some("audio") => "audio",
        Some("video") => "video",
        _ => "document",
    }
}
