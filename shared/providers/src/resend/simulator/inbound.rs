//! Resend's webhooks for received mails and receipts, and the API that returns a mail's text (Resend, Webhooks: Event
//! types; Receiving emails).

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use butt_dial_domain::{Channel, clock::Timestamp};
use serde_json::{Value, json};

use super::{AppState, ID, error::ApiError};
use crate::{
    resend::{self, webhook, wire},
    simulator::{
        Headers, JSON, OutgoingWebhook, PersonMessage, RetryPolicy, SimulatedMessage, SimulatorState, StatusWebhook,
        VendorWebhook, picture,
    },
};

/// At once, then after 5 seconds and for up to 10 hours.
const RETRY_POLICY: RetryPolicy = RetryPolicy {
    attempts: 8,
    retry_on_errors: true,
};

pub fn inbound_webhook(simulator: &SimulatorState, text: &PersonMessage, url: &str) -> Result<VendorWebhook, String> {
    if text.channel != Channel::Email {
        return Err(format!("Resend does not carry {}", text.channel));
    }
    let id = uuid::Uuid::new_v4().to_string();
    let now = simulator.now();
    let data = json!({
        "email_id": id,
        "created_at": now.to_rfc3339(),
        "from": wire::mailbox(text.sender_name.as_deref(), &text.from),
        "to": [text.to],
        "cc": text.cc,
        "bcc": [],
        "received_for": [text.to],
        "message_id": message_id(&id),
        "subject": text.subject.as_deref().unwrap_or_default(),
        "attachments": attachments(text, false),
    });
    Ok(VendorWebhook {
        webhook: event(simulator, url, "email.received", &data, now),
        carrier_id: id,
    })
}

/// Returns the builder of receipts, if a webhook URL is set.
pub fn status_webhook(simulator: &SimulatorState, tags: BTreeMap<String, String>) -> Option<StatusWebhook> {
    let url = simulator.webhook_url(ID, Channel::Email)?;
    let simulator = simulator.clone();
    Some(Box::new(move |mail: &SimulatedMessage| {
        let mut data = json!({
            "email_id": mail.carrier_id,
            "message_id": message_id(&mail.carrier_id),
            "from": wire::mailbox(mail.from_name.as_deref(), &mail.from),
            "to": [mail.to],
            "subject": mail.subject,
            "created_at": mail.at.to_rfc3339(),
            "tags": tags,
        });
        if mail.status == "suppressed" {
            data["suppressed"] =
                json!({ "message": "The recipient is on the suppression list", "type": "OnAccountSuppressionList" });
        }
        event(
            &simulator,
            &url,
            &format!("email.{}", mail.status),
            &data,
            mail.updated_at,
        )
    }))
}

fn event(simulator: &SimulatorState, url: &str, kind: &str, data: &Value, at: Timestamp) -> OutgoingWebhook {
    let body = json!({ "type": kind, "created_at": at.to_rfc3339(), "data": data }).to_string();
    OutgoingWebhook {
        url: url.to_owned(),
        content_type: JSON,
        headers: sign(simulator, url, body.as_bytes(), at),
        body,
        retry: RETRY_POLICY,
    }
}

pub fn sign(simulator: &SimulatorState, _url: &str, body: &[u8], at: Timestamp) -> Headers {
    let id = format!("msg_{}", uuid::Uuid::new_v4().simple());
    let signature = webhook::sign(&simulator.secret(resend::WEBHOOK_SECRET), &id, at.timestamp(), body);
    vec![
        ("svix-id", id),
        ("svix-timestamp", at.timestamp().to_string()),
        (webhook::SIGNATURE, signature.unwrap_or_default()),
        ("User-Agent", "Svix-Webhooks/1.84".to_owned()),
    ]
}

/// Returns the mail with its text.
pub async fn mail(State(app): State<AppState>, Path(id): Path<String>) -> Response {
    let Some((stored, text)) = app.simulator.find_person_message(ID, &id) else {
        return ApiError::not_found().into_response();
    };
    let mut headers = json!({ "Message-ID": message_id(&id) });
    for (name, value) in &text.headers {
        headers[name] = json!(value);
    }
    if let Some(answered) = &text.in_reply_to {
        headers["in-reply-to"] = json!(answered);
    }
    Json(json!({
        "object": "email",
        "id": id,
        "to": [text.to],
        "from": wire::mailbox(text.sender_name.as_deref(), &text.from),
        "created_at": stored.at.to_rfc3339(),
        "subject": text.subject.as_deref().unwrap_or_default(),
        "bcc": [],
        "cc": text.cc,
        "reply_to": text.reply_to.iter().collect::<Vec<_>>(),
        "received_for": [text.to],
        "html": text.html,
        "text": (!text.body.is_empty()).then_some(&text.body),
        "headers": headers,
        "message_id": message_id(&id),
        "raw": null,
        "attachments": attachments(&text, true),
    }))
    .into_response()
}

/// Returns the download URL of an attachment.
pub async fn attachment(State(app): State<AppState>, Path((id, attachment)): Path<(String, String)>) -> Response {
    let stored = app.simulator.find_person_message(ID, &id);
    let listed = stored.map(|(_, text)| attachments(&text, true)).unwrap_or_default();
    let Some(mut found) = listed.into_iter().find(|listed| listed["id"] == attachment) else {
        return ApiError::not_found().into_response();
    };
    let in_an_hour = app.simulator.now() + chrono::Duration::hours(1);
    found["object"] = json!("attachment");
    found["download_url"] = json!(format!("{}/{ID}/download/{id}/{attachment}", app.simulator.base_url()));
    found["expires_at"] = json!(in_an_hour.to_rfc3339());
    Json(found).into_response()
}

/// Lists the attachments, each the same image. Only the API returns their size, not the event.
fn attachments(text: &PersonMessage, with_size: bool) -> Vec<Value> {
    let described = (1..=text.media.len()).map(|number| {
        let mut attachment = json!({
            "id": format!("attachment-{number}"),
            "filename": format!("picture-{number}.png"),
            "content_type": picture::TYPE,
            "content_disposition": "attachment",
            "content_id": null,
        });
        if with_size {
            attachment["size"] = json!(picture::bytes().len());
        }
        attachment
    });
    described.collect()
}

fn message_id(id: &str) -> String {
    format!("<{id}@mail.example.org>")
}
