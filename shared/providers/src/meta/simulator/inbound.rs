//! Meta's webhooks for inbound messages and receipts, in batches, signed (WhatsApp Cloud API, Webhooks components).

use std::fmt::Write;

use butt_dial_domain::{Channel, clock::Timestamp};
use serde_json::{Value, json};

use super::{ID, PHONE_NUMBER_ID, WABA};
use crate::{
    meta::{self, webhook},
    simulator::{
        Headers, JSON, OutgoingWebhook, PersonMessage, RetryPolicy, SimulatedMessage, SimulatorState, StatusWebhook,
        VendorWebhook, merge, picture, voice_note,
    },
};

/// Meta retries with pauses for up to seven days.
const RETRY_POLICY: RetryPolicy = RetryPolicy {
    attempts: 8,
    retry_on_errors: true,
};

pub fn inbound_webhook(simulator: &SimulatorState, text: &PersonMessage, url: &str) -> Result<VendorWebhook, String> {
    if text.channel != Channel::Whatsapp {
        return Err(format!("Meta does not carry {}", text.channel));
    }
    let now = simulator.now();
    let mut messages = messages(simulator, text, now);
    for message in &mut messages {
        merge(message, &text.fields);
    }
    let (_, id, value) = sender(&text.from);
    let mut contact = json!({ "profile": { "name": text.sender_name.as_deref().unwrap_or("Ann") } });
    contact[id] = json!(value);
    let carrier_id = messages[0]["id"].as_str().unwrap_or_default().to_owned();
    let value = json!({ "contacts": [contact], "messages": messages });
    Ok(VendorWebhook {
        carrier_id,
        webhook: batch(simulator, url, &text.to, value),
    })
}

/// Returns the fields of a sender in messages and contacts, and the value of both: the number in digits, or the user id.
fn sender(from: &str) -> (&'static str, &'static str, &str) {
    match from.strip_prefix('+') {
        Some(digits) => ("from", "wa_id", digits),
        None => ("from_user_id", "user_id", from),
    }
}

/// Builds one message per file, the first with the caption, or one text message.
fn messages(simulator: &SimulatorState, text: &PersonMessage, now: Timestamp) -> Vec<Value> {
    let base = || {
        let mut message = json!({
            "id": super::wamid(),
            "timestamp": now.timestamp().to_string(),
        });
        let (from, _, value) = sender(&text.from);
        message[from] = json!(value);
        if let Some(answered) = &text.in_reply_to {
            message["context"] = json!({ "from": text.to.trim_start_matches('+'), "id": answered });
        }
        message
    };
    if text.media.is_empty() {
        let mut message = base();
        let (kind, part) = match &text.button {
            Some(button) => ("button", json!({ "payload": button, "text": button })),
            None => ("text", json!({ "body": text.body })),
        };
        message["type"] = json!(kind);
        message[kind] = part;
        return vec![message];
    }
    let files = text.media.iter().enumerate().map(|(place, media)| {
        let (mut message, id) = (base(), media_id());
        simulator.recordings().keep(&id, media);
        if voice_note::said(media).is_some() {
            message["type"] = json!("audio");
            message["audio"] = json!({ "id": id, "mime_type": "audio/ogg; codecs=opus", "sha256": "", "voice": true });
            return message;
        }
        message["type"] = json!("image");
        message["image"] = json!({ "id": id, "mime_type": picture::TYPE, "sha256": "" });
        if place == 0 && !text.body.is_empty() {
            message["image"]["caption"] = json!(text.body);
        }
        message
    });
    files.collect()
}

/// Returns fifteen digits.
fn media_id() -> String {
    let digits = uuid::Uuid::new_v4().as_u128() % 1_000_000_000_000_000;
    format!("{digits:015}")
}

/// Returns the builder of receipts, if a webhook URL is set. Templates count as utility messages.
pub fn status_webhook(simulator: &SimulatorState, data: Option<String>, is_template: bool) -> Option<StatusWebhook> {
    let url = simulator.webhook_url(ID, Channel::Whatsapp)?;
    let simulator = simulator.clone();
    Some(Box::new(move |message: &SimulatedMessage| {
        let mut status = json!({
            "id": message.carrier_id,
            "status": message.status,
            "timestamp": message.updated_at.timestamp().to_string(),
        });
        let recipient = match message.to.starts_with('+') {
            true => "recipient_id",
            false => "recipient_user_id",
        };
        status[recipient] = json!(message.to.trim_start_matches('+'));
        if let Some(data) = &data {
            status["biz_opaque_callback_data"] = json!(data);
        }
        if matches!(message.status, "sent" | "delivered") {
            let category = if is_template { "utility" } else { "service" };
            status["pricing"] = json!({
                "billable": true, "pricing_model": "PMP", "type": "regular", "category": category,
            });
        }
        if let Some(code) = message.error_code {
            status["errors"] = json!([{ "code": code, "title": "Message failed", "message": "Message failed" }]);
        }
        batch(&simulator, &url, &message.from, json!({ "statuses": [status] }))
    }))
}

fn batch(simulator: &SimulatorState, url: &str, ours: &str, mut value: Value) -> OutgoingWebhook {
    value["messaging_product"] = json!("whatsapp");
    let digits = ours.trim_start_matches('+');
    value["metadata"] = json!({ "display_phone_number": digits, "phone_number_id": PHONE_NUMBER_ID });
    let change = json!({ "field": "messages", "value": value });
    let batch = json!({ "object": "whatsapp_business_account", "entry": [{ "id": WABA, "changes": [change] }] });
    let body = escaped(&batch.to_string());
    OutgoingWebhook {
        url: url.to_owned(),
        content_type: JSON,
        headers: headers(simulator, body.as_bytes()),
        body,
        retry: RETRY_POLICY,
    }
}

pub fn sign(simulator: &SimulatorState, _url: &str, body: &[u8], _at: Timestamp) -> Headers {
    headers(simulator, body)
}

fn headers(simulator: &SimulatorState, body: &[u8]) -> Headers {
    vec![
        (
            webhook::HEADER,
            webhook::sign(&simulator.secret(meta::APP_SECRET), body),
        ),
        ("User-Agent", "facebookexternalua".to_owned()),
    ]
}

/// Escapes non-ASCII characters as `\uXXXX` in lower case, like Meta.
fn escaped(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            escaped.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String can't fail.
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        }
    }
    escaped
}
