//! The second rung: a POST to the agent's own host. Signed in the three ways that hosts check: Standard Webhooks,
//! `X-BD-*` and `X-Hub-Signature-256` (butt-dial-sdk). A 2xx means that the agent has it; nothing else does.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use butt_dial_domain::{AgentId, Channel, Code, Failure, OrgId, subjects};
use butt_dial_store::{Event, Recipient};
use chrono::SecondsFormat;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::view::{MESSAGE_RECEIVED, MESSAGE_STATUS, coarse, view};
use crate::{Comms, store_failure};

/// What a host may take (Standard Webhooks: 15 to 30 s).
const DEADLINE: Duration = Duration::from_secs(15);
/// The longest that a host may put us off with Retry-After.
const MAX_PUT_OFF: Duration = Duration::from_secs(3_600);
const MAX_URL: usize = 2_048;

pub enum Answer {
    Taken,
    /// 410: never again.
    Gone,
    Failed {
        retry_after: Option<Duration>,
    },
}

impl Answer {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Taken => "delivered",
            Self::Gone => "gone",
            Self::Failed { .. } => "failed",
        }
    }
}

/// What a host checks our calls with. One secret an organization, in two spellings.
pub struct CallbackSecrets {
    /// Standard Webhooks: `whsec_` and base64.
    pub signing_secret: String,
    /// The key of `X-BD-Signature` and `X-Hub-Signature-256`, as text: 64 hexadecimal digits.
    pub webhook_secret: String,
}

pub fn secrets(comms: &Comms, org: &OrgId) -> CallbackSecrets {
    let key = comms.vault.key(&format!("callbacks {org}"));
    CallbackSecrets {
        signing_secret: format!("whsec_{}", STANDARD.encode(key)),
        webhook_secret: hex::encode(key),
    }
}

/// Sets or removes the agent's callback; what waits is tried there at once.
pub async fn set_url(
    comms: &Comms,
    agent: &AgentId,
    org: &OrgId,
    url: Option<&str>,
) -> Result<CallbackSecrets, Failure> {
    if let Some(url) = url {
        check_url(comms, "callbackUrl", url)?;
    }
    comms.store.set_callback_url(agent, url).await.map_err(store_failure)?;
    replay(comms, agent).await?;
    Ok(secrets(comms, org))
}

/// The same for what happens in calls.
pub async fn set_voice_url(
    comms: &Comms,
    agent: &AgentId,
    org: &OrgId,
    url: Option<&str>,
) -> Result<CallbackSecrets, Failure> {
    if let Some(url) = url {
        check_url(comms, "voiceCallbackUrl", url)?;
    }
    let set = comms.store.set_voice_callback_url(agent, url).await;
    set.map_err(store_failure)?;
    replay(comms, agent).await?;
    Ok(secrets(comms, org))
}

pub async fn find_url(comms: &Comms, agent: &AgentId) -> Result<Option<String>, Failure> {
    let recipient = comms.store.find_recipient(agent).await.map_err(store_failure)?;
    Ok(recipient.and_then(|recipient| recipient.callback_url))
}

/// Tries again now what the callback has not taken, however often it failed. Returns how many events wait.
pub async fn replay(comms: &Comms, agent: &AgentId) -> Result<i64, Failure> {
    let now = comms.clock.now();
    comms.store.forget_tries(agent).await.map_err(store_failure)?;
    if comms.store.poke_delivery(agent, now).await.map_err(store_failure)? {
        let payload = agent.as_str().to_owned().into();
        // Should nobody hear it, the next sweep finds it.
        if let Err(error) = comms
            .bus
            .publish(subjects::AGENT_RETURNED, Default::default(), payload)
            .await
        {
            tracing::debug!(%error, "what waits is delivered with the next sweep");
        }
    }
    comms.store.count_waiting_events(agent).await.map_err(store_failure)
}

fn check_url(comms: &Comms, field: &str, url: &str) -> Result<(), Failure> {
    let refuse = |text: String| Err(Failure::new(Code::InvalidArgument, text));
    if url.len() > MAX_URL {
        return refuse(format!("{field} is longer than {MAX_URL} characters"));
    }
    match comms.egress.check(url) {
        Ok(_) => Ok(()),
        Err(error) => refuse(format!("{field}: {error}")),
    }
}

/// Calls the host once. The event's id is the delivery's: a host that has seen it has seen the event.
pub async fn call(comms: &Comms, org: &OrgId, recipient: &Recipient, url: &str, event: &Event) -> Answer {
    let mut view = view(comms, org, event);
    view.insert("agentName".into(), json!(recipient.display_name));
    let body = body(event, &view).to_string();
    let target = match comms.egress.check(url) {
        Ok(target) => target,
        Err(error) => {
            tracing::warn!(%error, "a callback is not called");
            return Answer::Failed { retry_after: None };
        }
    };
    let Some(client) = comms.egress.client() else {
        return Answer::Failed { retry_after: None };
    };
    let mut request = client.post(target).timeout(DEADLINE);
    for (name, value) in headers(comms, org, event, &body) {
        request = request.header(name, value);
    }
    let answer = match request.body(body).send().await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::info!(error = %error.without_url(), "a callback does not answer");
            return Answer::Failed { retry_after: None };
        }
    };
    let status = answer.status();
    if status.is_success() {
        return Answer::Taken;
    }
    if status == reqwest::StatusCode::GONE {
        return Answer::Gone;
    }
    let seconds = answer.headers().get(reqwest::header::RETRY_AFTER);
    let seconds = seconds.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    tracing::info!(status = status.as_u16(), "a callback did not take an event");
    Answer::Failed {
        retry_after: seconds.map(|seconds| Duration::from_secs(seconds).min(MAX_PUT_OFF)),
    }
}

fn headers(comms: &Comms, org: &OrgId, event: &Event, body: &str) -> Vec<(&'static str, String)> {
    let secrets = secrets(comms, org);
    let key = comms.vault.key(&format!("callbacks {org}"));
    // Of this attempt: hosts refuse what was signed long ago.
    let at = comms.clock.now().timestamp();
    let standard = mac(
        &key,
        &[
            event.id.as_bytes(),
            b".",
            at.to_string().as_bytes(),
            b".",
            body.as_bytes(),
        ],
    );
    let text = secrets.webhook_secret.as_bytes();
    let own = mac(text, &[at.to_string().as_bytes(), b".", body.as_bytes()]);
    let hub = mac(text, &[body.as_bytes()]);
    vec![
        ("content-type", "application/json".into()),
        ("user-agent", concat!("butt-dial/", env!("CARGO_PKG_VERSION")).into()),
        ("webhook-id", event.id.clone()),
        ("webhook-timestamp", at.to_string()),
        ("webhook-signature", format!("v1,{}", STANDARD.encode(standard))),
        ("x-bd-event", event.kind.clone()),
        ("x-bd-timestamp", at.to_string()),
        ("x-bd-signature", format!("hmac-sha256={}", hex::encode(own))),
        ("x-bd-delivery-id", event.id.clone()),
        ("x-hub-signature-256", format!("sha256={}", hex::encode(hub))),
    ]
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    // A key of any length will do (RFC 2104), so the error has no case; the empty key keeps the code total.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| Hmac::new(&Default::default()));
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

/// One body for every kind of host: Standard Webhooks' `type`, `timestamp` and `data`; the flat keys of the Python client's
/// generic route; and `entry`, in WhatsApp's own form, for its WhatsApp route.
fn body(event: &Event, view: &Map<String, Value>) -> Value {
    let mut body = view.clone();
    body.insert("data".into(), Value::Object(view.clone()));
    // The Python client's host fails on a channel that it does not know.
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
    // `type` stays the view's: the Python client reads it; Standard Webhooks' name of it is in `event`.
    body.entry("timestamp")
        .or_insert_with(|| json!(event.created_at.to_rfc3339_opts(SecondsFormat::Millis, true)));
    Value::Object(body)
}

/// WhatsApp's form has one attachment a message: each further one becomes a message of its own, with the event's id, `_` and
/// its place as its id. The first one has the text; what could not be fetched is told on the generic keys only.
fn whatsapp_messages(event: &Event, view: &Map<String, Value>) -> Vec<Value> {
    let base = whatsapp_base(event, view);
    let mut first = base.clone();
    let kind = view.get("mediaType").and_then(Value::as_str);
    match (kind, view.get("mediaUrl")) {
        (Some(kind), Some(url)) => {
            let mime_type = view.get("mimeType").unwrap_or(&Value::Null);
            put_media(&mut first, kind, url, mime_type);
            if let Some(caption) = view.get("body") {
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
            coarse(mime_type.as_str().unwrap_or_default()),
            url,
            mime_type,
        );
        messages.push(message);
    }
    messages
}

fn whatsapp_base(event: &Event, view: &Map<String, Value>) -> Value {
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

fn put_media(message: &mut Value, kind: &str, url: &Value, mime_type: &Value) {
    message["type"] = json!(kind);
    message[kind] = json!({ "link": url, "mime_type": mime_type });
}

fn whatsapp_status(event: &Event, view: &Map<String, Value>) -> Value {
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
    use super::*;

    fn messages(view: Value) -> Vec<Value> {
        let event = Event {
            seq: 1,
            id: "evt_1".into(),
            kind: MESSAGE_RECEIVED.into(),
            channel: Some("whatsapp".into()),
            state: "waiting".into(),
            reason: "agent_offline".into(),
            data: Value::Null,
            content: None,
            tries: 0,
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        let Value::Object(view) = view else { panic!("{view}") };
        let body = body(&event, &view);
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
    fn each_attachment_is_a_message_of_whatsapps() {
        let attachment =
            |name: &str, kind: &str| json!({ "url": format!("https://bd.example/{name}"), "contentType": kind });
        let told = messages(json!({
            "from": "+14155550123", "to": "+14155550100", "body": "Look!", "senderName": "Ann",
            "mediaUrl": "https://bd.example/1", "mediaType": "image", "mimeType": "image/png",
            "attachments": [
                attachment("1", "image/png"), attachment("2", "audio/ogg"),
                json!({ "contentType": "image/png", "error": "too large" }), attachment("4", "application/pdf"),
            ],
        }));
        let ids: Vec<&str> = told.iter().map(|message| message["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["evt_1", "evt_1_2", "evt_1_4"]);
        let expected = json!({ "link": "https://bd.example/1", "mime_type": "image/png", "caption": "Look!" });
        assert_eq!((&told[0]["type"], &told[0]["image"]), (&json!("image"), &expected));
        let expected = json!({ "link": "https://bd.example/2", "mime_type": "audio/ogg" });
        assert_eq!((&told[1]["type"], &told[1]["audio"]), (&json!("audio"), &expected));
        assert_eq!(told[2]["document"]["link"], "https://bd.example/4");
        for message in &told {
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
    fn the_text_comes_first_when_the_first_attachment_is_missing() {
        let told = messages(json!({
            "from": "+14155550123", "body": "Look!", "mediaType": "image", "mimeType": "image/png",
            "attachments": [
                { "contentType": "image/png", "error": "too large" },
                { "contentType": "video/mp4", "url": "https://bd.example/2" },
            ],
        }));
        assert_eq!(
            (told.len(), &told[0]["text"]["body"], &told[1]["type"]),
            (2, &json!("Look!"), &json!("video"))
        );
    }
}
