//! The body of a callback.

use butt_dial_domain::Channel;
use butt_dial_store::AgentEvent;
use chrono::SecondsFormat;
use serde_json::{Map, Value, json};

use super::event_view::{MESSAGE_RECEIVED, MESSAGE_STATUS, coarse_media_type};

/// Builds one body that serves every kind of host: `type`, `timestamp` and `data` of Standard Webhooks; the flat keys of the
/// Python client's generic route; and `entry`, in WhatsApp's form, for its WhatsApp route.
pub(super) fn build(event: &AgentEvent, view: &Map<String, Value>) -> Value {
    let mut body = view.clone();
    body.insert("data".into(), Value::Object(view.clone()));
    // The Python client's host fails on a channel that is unknown to it.
    let known = view.get("channel").and_then(Value::as_str).and_then(Channel::parse);
    if !matches!(known, Some(Channel::Sms | Channel::Whatsapp | Channel::Email)) {
        body.remove("channel");
    }
    let value = match event.kind.as_str() {
        MESSAGE_RECEIVED => json!({ "messages": whatsapp_messages(event, view) }),
        MESSAGE_STATUS => json!({ "statuses": [whatsapp_status(event, view)] }),
        _ => Value::Null,
    };
    if !value.is_null() {
        body.insert(
            "entry".into(),
            json!([{ "changes": [{ "field": "messages", "value": value }] }]),
        );
    }
    // `type` is the view's, because the Python client reads it. The event kind of Standard Webhooks is in `event`.
    body.entry("timestamp")
        .or_insert_with(|| json!(event.created_at.to_rfc3339_opts(SecondsFormat::Millis, true)));
    Value::Object(body)
}

/// WhatsApp's form has one attachment per message. Each further attachment becomes a message with the id `<event>_<number>`.
/// The first one has the text. Attachments that could not be fetched are listed in the generic keys only.
fn whatsapp_messages(event: &AgentEvent, view: &Map<String, Value>) -> Vec<Value> {
    let base = whatsapp_base(event, view);
    let mut first = base.clone();
    let kind = view.get("mediaType").and_then(Value::as_str);
    match (kind, view.get("mediaUrl")) {
        (Some(kind), Some(url)) => {
            let mime_type = view.get("mimeType").unwrap_or(&Value::Null);
            put_media(&mut first, kind, url, mime_type, view);
            if let Some(caption) = view.get("body").filter(|_| has_text(view)) {
                first[kind]["caption"] = caption.clone();
            }
        }
        _ => {
            first["type"] = json!("text");
            first["text"] = json!({ "body": view.get("body").and_then(Value::as_str).unwrap_or_default() });
        }
    }
    let mut messages = vec![first];
    let attachments = view.get("attachments").and_then(Value::as_array);
    for (number, attachment) in attachments.into_iter().flatten().enumerate().skip(1) {
        let Some(url) = attachment.get("url") else { continue };
        let mime_type = &attachment["contentType"];
        let mut message = base.clone();
        message["id"] = json!(format!("{}_{}", event.id, number + 1));
        put_media(
            &mut message,
            coarse_media_type(mime_type.as_str().unwrap_or_default()),
            url,
            mime_type,
            view,
        );
        messages.push(message);
    }
    messages
}

/// Returns whether the body is a text of the person, and not a description of the files.
fn has_text(view: &Map<String, Value>) -> bool {
    let parts = view.get("parts").and_then(Value::as_array);
    let body = view.get("body").and_then(Value::as_str).unwrap_or_default();
    // A description begins with a bracket; a long text is no part.
    !body.starts_with('[') || parts.is_none_or(|parts| parts.iter().any(|part| part["type"] == "text"))
}

fn whatsapp_base(event: &AgentEvent, view: &Map<String, Value>) -> Value {
    let text = |key: &str| view.get(key).cloned().unwrap_or(Value::Null);
    let mut message = json!({
        "id": event.id, "from": text("from"), "to": text("to"),
        "timestamp": event.created_at.timestamp().to_string(),
    });
    for key in ["senderName", "groupId", "groupName"] {
        if let Some(value) = view.get(key) {
            message[key] = value.clone();
        }
    }
    message
}

fn put_media(message: &mut Value, kind: &str, url: &Value, mime_type: &Value, view: &Map<String, Value>) {
    message["type"] = json!(kind);
    message[kind] = json!({ "link": url, "mime_type": mime_type });
    if kind == "audio" && view.get("isVoiceMessage") == Some(&Value::Bool(true)) {
        message[kind]["voice"] = json!(true);
        if let Some(words) = view.get("voiceTranscription") {
            message[kind]["voiceTranscription"] = words.clone();
        }
    }
}

fn whatsapp_status(event: &AgentEvent, view: &Map<String, Value>) -> Value {
    let mut status = json!({
        "id": view.get("messageId"), "status": view.get("status"),
        "timestamp": event.created_at.timestamp().to_string(), "recipient_id": view.get("to"),
    });
    if let Some(code) = view.get("providerCode").or(view.get("code")) {
        status["errors"] = json!([{ "code": code }]);
    }
    status
}

#[cfg(test)]
mod tests {
    use butt_dial_store::{EventReason, EventState};

    use super::*;

    fn messages(view: Value) -> Vec<Value> {
        let event = AgentEvent {
            seq: 1,
            id: "evt_1".into(),
            kind: MESSAGE_RECEIVED.into(),
            channel: Some("whatsapp".into()),
            state: EventState::Waiting,
            reason: EventReason::AgentOffline,
            data: Value::Null,
            content: None,
            tries: 0,
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        let Value::Object(view) = view else { panic!("{view}") };
        let body = build(&event, &view);
        assert_eq!(
            body["attachments"],
            view.get("attachments").cloned().unwrap_or_default()
        );
        body["entry"][0]["changes"][0]["value"]["messages"]
            .as_array()
            .unwrap()
            .clone()
    }

    #[test]
    fn puts_each_attachment_into_own_whatsapp_message() {
        let attachment =
            |name: &str, kind: &str| json!({ "url": format!("https://bd.example/{name}"), "contentType": kind });
        let sent = messages(json!({
            "from": "+14155550123", "to": "+14155550100", "body": "Look!", "senderName": "Ann",
            "mediaUrl": "https://bd.example/1", "mediaType": "image", "mimeType": "image/png",
            "attachments": [
                attachment("1", "image/png"), attachment("2", "audio/ogg"),
                json!({ "contentType": "image/png", "error": "too large" }), attachment("4", "application/pdf"),
            ],
        }));
        let ids: Vec<&str> = sent.iter().map(|message| message["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["evt_1", "evt_1_2", "evt_1_4"]);
        let expected = json!({ "link": "https://bd.example/1", "mime_type": "image/png", "caption": "Look!" });
        assert_eq!((&sent[0]["type"], &sent[0]["image"]), (&json!("image"), &expected));
        let expected = json!({ "link": "https://bd.example/2", "mime_type": "audio/ogg" });
        assert_eq!((&sent[1]["type"], &sent[1]["audio"]), (&json!("audio"), &expected));
        assert_eq!(sent[2]["document"]["link"], "https://bd.example/4");
        for message in &sent {
            assert_eq!(
                (&message["from"], &message["senderName"]),
                (&json!("+14155550123"), &json!("Ann"))
            );
            assert!(
                message["timestamp"].is_string() && message.get("text").is_none(),
                "{message}"
            );
        }
    }

    #[test]
    fn keeps_text_first_without_first_attachment() {
        let sent = messages(json!({
            "from": "+14155550123", "body": "Look!", "mediaType": "image", "mimeType": "image/png",
            "attachments": [
                { "contentType": "image/png", "error": "too large" },
                { "contentType": "video/mp4", "url": "https://bd.example/2" },
            ],
        }));
        assert_eq!(
            (sent.len(), &sent[0]["text"]["body"], &sent[1]["type"]),
            (2, &json!("Look!"), &json!("video"))
        );
    }
}
