//! Meta's webhooks: inbound messages and receipts, in batches (WhatsApp Cloud API, Webhooks components).

use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use butt_dial_domain::{
    Address, Channel, MessageId,
    clock::Timestamp,
    ids::is_valid_host_id,
    inbound::{Attachment, DeliveryStatus, InboundMessage, Receipt, WebhookEvent},
    ports::{
        carrier::LookupError,
        webhook::{MediaRequest, UnreadableRequest, VerificationError, WebhookRequest, Webhooks},
    },
};
use chrono::DateTime;
use url::{Origin, Url, form_urlencoded};

use super::{
    ACCESS_TOKEN, APP_SECRET, ENDPOINT, VERIFY_TOKEN, errors,
    event::{Batch, Contact, File, Message, Messages, Status},
    webhook,
    wire::{self, Media},
};
use crate::{Secret, http, vendor::Credentials};

/// Meta's challenge has ten digits.
const MAX_CHALLENGE_LENGTH: usize = 128;

pub struct Inbound {
    http: reqwest::Client,
    /// Without a trailing slash.
    endpoint: String,
    origin: Origin,
    authorization: HeaderValue,
    app_secret: Option<Secret>,
    verify_token: Option<Secret>,
    deadline: Duration,
}

impl Inbound {
    /// Checks the form of the credentials. Makes no request.
    pub fn new(credentials: &Credentials, http: reqwest::Client, deadline: Duration) -> Result<Self, String> {
        let endpoint = credentials.checked_endpoint(ENDPOINT)?.to_owned();
        let origin = Url::parse(&endpoint)
            .map_err(|_| format!("{ENDPOINT} is not a URL"))?
            .origin();
        let bearer = format!("Bearer {}", credentials.get(ACCESS_TOKEN)?.expose());
        let mut authorization = HeaderValue::from_str(&bearer)
            .map_err(|_| format!("{ACCESS_TOKEN} has characters that a token can't have"))?;
        authorization.set_sensitive(true);
        let given = |env| {
            credentials
                .find(env)
                .filter(|secret| !secret.expose().is_empty())
                .cloned()
        };
        Ok(Self {
            http,
            endpoint,
            origin,
            authorization,
            app_secret: given(APP_SECRET),
            verify_token: given(VERIFY_TOKEN),
            deadline,
        })
    }
}

#[async_trait]
impl Webhooks for Inbound {
    fn signature_header(&self) -> &'static str {
        webhook::HEADER
    }

    fn verify(&self, request: &WebhookRequest) -> Result<(), VerificationError> {
        let secret = self.app_secret.as_ref().ok_or(VerificationError::NoSecret)?;
        let signature = request.header(webhook::HEADER).ok_or(VerificationError::Unsigned)?;
        if webhook::verify(secret, &request.body, signature) {
            Ok(())
        } else {
            Err(VerificationError::WrongSignature)
        }
    }

    fn parse(&self, request: &WebhookRequest) -> Result<Vec<WebhookEvent>, UnreadableRequest> {
        let batch: Batch =
            serde_json::from_slice(&request.body).map_err(|_| UnreadableRequest("the body is not a batch in JSON"))?;
        let changes = batch.entry.into_iter().flat_map(|entry| entry.changes);
        let mut notices = Vec::new();
        for change in changes.filter(|change| change.field == "messages") {
            match serde_json::from_value::<Messages>(change.value) {
                Ok(messages) => read_change(messages, &mut notices),
                Err(_) => skip("change"),
            }
        }
        Ok(notices)
    }

    fn handshake(&self, request: &WebhookRequest) -> Option<String> {
        let query = Url::parse(&request.url).ok()?;
        let find = |key: &str| {
            let mut pairs = form_urlencoded::parse(query.query()?.as_bytes());
            pairs.find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
        };
        let is_ours = webhook::constant_time_eq(self.verify_token.as_ref()?, &find("hub.verify_token")?);
        // The challenge is echoed, so it must not contain anything that a browser executes.
        let challenge = find("hub.challenge").filter(|text| is_challenge(text))?;
        (is_ours && find("hub.mode")? == "subscribe").then_some(challenge)
    }

    /// Requests the download URL, which is valid for five minutes and needs the same token.
    async fn media(&self, attachment: &Attachment) -> Result<MediaRequest, LookupError> {
        if !wire::is_id(&attachment.source) {
            return Err(LookupError::NotFound);
        }
        let request = self.http.get(format!("{}/{}", self.endpoint, attachment.source));
        let request = request.header(header::AUTHORIZATION, self.authorization.clone());
        let response = http::lookup(request, self.deadline)
            .await
            .map_err(|_| LookupError::NoResponse)?;
        match response.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(LookupError::NotFound),
            status if !status.is_success() => return Err(LookupError::NoResponse),
            _ => {}
        }
        let media: Media = serde_json::from_slice(&response.body).map_err(|_| LookupError::NoResponse)?;
        let url = Url::parse(&media.url).map_err(|_| LookupError::NoResponse)?;
        let is_carrier = url.origin() == self.origin;
        // The download carries the token, so another host must use https.
        if !is_carrier && url.scheme() != "https" {
            return Err(LookupError::NotFound);
        }
        Ok(MediaRequest {
            url: url.into(),
            headers: HeaderMap::from_iter([(header::AUTHORIZATION, self.authorization.clone())]),
            is_carrier,
        })
    }
}

fn is_challenge(text: &str) -> bool {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    plain && (1..=MAX_CHALLENGE_LENGTH).contains(&text.len())
}

/// Parses one change. Skips unreadable items, because Meta does not repeat the rest of the batch.
fn read_change(messages: Messages, notices: &mut Vec<WebhookEvent>) {
    let Some(our_number) = number(&messages.metadata.display_phone_number) else {
        skip("number");
        return;
    };
    for value in messages.messages {
        match serde_json::from_value::<Message>(value) {
            Ok(message) => notices.extend(
                read_message(&message, &our_number, &messages.contacts)
                    .map(Box::new)
                    .map(WebhookEvent::Message),
            ),
            Err(_) => skip("a person's message"),
        }
    }
    for value in messages.statuses {
        match serde_json::from_value::<Status>(value) {
            Ok(status) => notices.extend(receipt(&status, &our_number).map(WebhookEvent::Receipt)),
            Err(_) => skip("status"),
        }
    }
}

/// Logs a skipped item without the parser error, which quotes the input.
fn skip(what: &str) {
    tracing::debug!(what, "webhook item skipped: unreadable");
}

fn read_message(message: &Message, our_number: &Address, contacts: &[Contact]) -> Option<InboundMessage> {
    if matches!(message.kind.as_str(), "system" | "unsupported") {
        return None;
    }
    let Some(from) = message.from.as_deref().and_then(number) else {
        // The sender has only a business-scoped id, which can't be answered yet.
        tracing::debug!("inbound message skipped: sender has no phone number");
        return None;
    };
    let is_sender = |contact: &&Contact| contact.wa_id.is_some() && contact.wa_id == message.from;
    let contact = contacts.iter().find(is_sender);
    Some(InboundMessage {
        body: message.content(),
        attachments: message.image.iter().map(attachment).collect(),
        sender_name: contact.and_then(|contact| contact.profile.name.clone()),
        in_reply_to: message.replied_to().map(str::to_owned),
        sent_at: message.timestamp.as_deref().and_then(seconds),
        ..InboundMessage::new(&message.id, Channel::Whatsapp, &from, our_number)
    })
}

fn attachment(file: &File) -> Attachment {
    Attachment {
        source: file.id.clone(),
        content_type: file.mime_type.clone(),
        filename: file.filename.clone(),
        size: None,
        is_voice: file.voice,
    }
}

fn receipt(status: &Status, our_number: &Address) -> Option<Receipt> {
    let stage = match status.status.as_str() {
        "sent" => DeliveryStatus::Sent,
        "delivered" => DeliveryStatus::Delivered,
        "read" | "played" => DeliveryStatus::Read,
        "failed" => DeliveryStatus::Failed,
        _ => return None,
    };
    let our_id = status.biz_opaque_callback_data.as_deref();
    let code = status.errors.first().map(|fault| fault.code);
    Some(Receipt {
        carrier_id: status.id.clone(),
        message: our_id.filter(|id| is_valid_host_id(id)).map(MessageId::from),
        channel: Channel::Whatsapp,
        sender: Some(our_number.as_str().to_owned()),
        stage,
        error_code: code.map(|code| code.to_string()),
        failure: code.and_then(errors::class_of),
        price: None,
    })
}

/// Parses a phone number: digits, for businesses also with a plus, spaces and dashes.
fn number(text: &str) -> Option<Address> {
    let number = format!("+{}", text.trim_start_matches('+'));
    Address::parse(Channel::Whatsapp, &number).ok()
}

fn seconds(text: &str) -> Option<Timestamp> {
    DateTime::from_timestamp(text.parse().ok()?, 0)
}
