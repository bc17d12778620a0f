//! LINE's webhooks for inbound messages, signed (LINE, Webhook event objects).

use butt_dial_domain::{Channel, clock::Timestamp};
use serde_json::{Value, json};

use super::numeric_id;
use crate::{
    line::{self, webhook},
    simulator::{
        Headers, JSON, OutgoingWebhook, PersonMessage, RetryPolicy, SimulatorState, VendorWebhook, merge, voice_note,
    },
};

/// Builds one event: an image, a text, a follow or an unfollow.
pub fn inbound_webhook(simulator: &SimulatorState, text: &PersonMessage, url: &str) -> Result<VendorWebhook, String> {
    if text.channel != Channel::Line {
        return Err(format!("LINE does not carry {}", text.channel));
    }
    let event_id = uuid::Uuid::new_v4().simple().to_string().to_ascii_uppercase();
    let mut event = json!({
        "mode": "active",
        "timestamp": simulator.now().timestamp_millis(),
        "source": { "type": "user", "userId": text.from },
        "webhookEventId": event_id,
        "deliveryContext": { "isRedelivery": false },
    });
    let carrier_id = match text.opt_out_type.as_deref() {
        Some("STOP") => {
            event["type"] = json!("unfollow");
            event_id
        }
        Some("START") => {
            event["type"] = json!("follow");
            event_id
        }
        _ => {
            let id = numeric_id();
            event["type"] = json!("message");
            event["message"] = message(text, &id);
            for media in &text.media {
                simulator.recordings().keep(&id, media);
            }
            format!("{event_id}-{id}")
        }
    };
    merge(&mut event, &text.fields);
    let body = json!({ "destination": text.to, "events": [event] }).to_string();
    let webhook = OutgoingWebhook {
        url: url.to_owned(),
        content_type: JSON,
        headers: sign(simulator, url, body.as_bytes(), simulator.now()),
        body,
        // Redelivery is off unless the operator switches it on.
        retry: RetryPolicy::SINGLE_ATTEMPT,
    };
    Ok(VendorWebhook { carrier_id, webhook })
}

pub fn sign(simulator: &SimulatorState, _url: &str, body: &[u8], _at: Timestamp) -> Headers {
    vec![
        (
            webhook::HEADER,
            webhook::sign(&simulator.secret(line::CHANNEL_SECRET), body),
        ),
        ("User-Agent", "LineBotWebhook/2.0".to_owned()),
    ]
}

fn message(text: &PersonMessage, id: &str) -> Value {
    let mut message = if text.media.is_empty() {
        json!({ "id": id, "type": "text", "text": text.button.as_ref().unwrap_or(&text.body), "quoteToken": "q" })
    } else if text.media.iter().any(|media| voice_note::said(media).is_some()) {
        json!({ "id": id, "type": "audio", "duration": 2_500, "contentProvider": { "type": "line" } })
    } else {
        json!({ "id": id, "type": "image", "contentProvider": { "type": "line" } })
    };
    if let Some(answered) = &text.in_reply_to {
        message["quotedMessageId"] = json!(answered);
    }
    message
}
