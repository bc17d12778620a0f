//! Resend's webhooks: received mails and receipts (Resend, Webhooks: Event types; Receiving emails). The event for a
//! received mail has no text; the API returns it.

use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderMap, StatusCode};
use butt_dial_domain::{
    Channel,
    inbound::{Attachment, DeliveryStatus, InboundMessage, MailDetails, Receipt, WebhookEvent},
    ports::{
        carrier::{LookupError, RefusalClass},
        webhook::{MediaRequest, UnreadableRequest, VerificationError, WebhookRequest, Webhooks},
    },
};
use serde::de::DeserializeOwned;
use url::{Origin, Url};

use super::{
    API_KEY, ENDPOINT, WEBHOOK_SECRET, details,
    event::{self, Download, Event, Mail, Outgoing},
    mailbox,
    webhook::{self, Headers},
};
use crate::{Secret, http, json, vendor::Credentials};

/// The largest number of recipients that are read per mail.
const MAX_RECIPIENTS: usize = 200;

pub struct Inbound {
    http: reqwest::Client,
    /// Without a trailing slash.
    endpoint: String,
    origin: Origin,
    key: Secret,
    /// Two during a rotation; empty when the operator sets none.
    secrets: Vec<Secret>,
    deadline: Duration,
}

impl Inbound {
    /// Checks the form of the credentials. Makes no request.
    pub fn new(credentials: &Credentials, http: reqwest::Client, deadline: Duration) -> Result<Self, String> {
        let endpoint = credentials.checked_endpoint(ENDPOINT)?.to_owned();
        let listed = credentials.find(WEBHOOK_SECRET).map(Secret::expose).unwrap_or_default();
        let secrets = listed.split(',').map(str::trim).filter(|secret| !secret.is_empty());
        let secrets: Vec<Secret> = secrets.map(Secret::new).collect();
        if !secrets.iter().all(webhook::is_secret) {
            return Err(format!(
                "{WEBHOOK_SECRET} must be whsec_ followed by base64, as in the dashboard"
            ));
        }
        let origin = Url::parse(&endpoint)
            .map_err(|_| format!("{ENDPOINT} is not a URL"))?
            .origin();
        Ok(Self {
            http,
            endpoint,
            origin,
            key: credentials.get(API_KEY)?.clone(),
            secrets,
            deadline,
        })
    }

    async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, LookupError> {
        let url = format!("{}/emails/receiving/{path}", self.endpoint);
        let request = self.http.get(url).bearer_auth(self.key.expose());
        let response = http::lookup(request, self.deadline)
            .await
            .map_err(|_| LookupError::NoResponse)?;
        match response.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => return Err(LookupError::NotFound),
            status if !status.is_success() => return Err(LookupError::NoResponse),
            _ => {}
        }
        json::parse(&response.body)
            .and_then(|body| serde_json::from_value(body).ok())
            .ok_or(LookupError::NoResponse)
    }
}

#[async_trait]
impl Webhooks for Inbound {
    fn signature_header(&self) -> &'static str {
        webhook::SIGNATURE
    }

    fn verify(&self, request: &WebhookRequest) -> Result<(), VerificationError> {
        if self.secrets.is_empty() {
            return Err(VerificationError::NoSecret);
        }
        let either = |svix, standard| request.header(svix).or_else(|| request.header(standard));
        let headers = Headers {
            id: either("svix-id", "webhook-id").ok_or(VerificationError::Unsigned)?,
            timestamp: either("svix-timestamp", "webhook-timestamp").ok_or(VerificationError::Unsigned)?,
            signature: either(webhook::SIGNATURE, "webhook-signature").ok_or(VerificationError::Unsigned)?,
        };
        webhook::verify(&self.secrets, headers, &request.body, request.received_at)
    }

    fn parse(&self, request: &WebhookRequest) -> Result<Vec<WebhookEvent>, UnreadableRequest> {
        let event: Event = json::parse(&request.body)
            .and_then(|body| serde_json::from_value(body).ok())
            .ok_or(UnreadableRequest("the body is not an event in JSON"))?;
        if event.kind == "email.received" {
            let mail = serde_json::from_value(event.data)
                .map_err(|_| UnreadableRequest("a required field of the mail is missing"))?;
            return read_mail(&mail);
        }
        let Some(stage) = stage(&event.kind) else {
            // About domains or contacts, or a newer event type.
            return Ok(Vec::new());
        };
        let mail = serde_json::from_value(event.data).map_err(|_| UnreadableRequest("the event has no mail"))?;
        Ok(vec![WebhookEvent::Receipt(receipt(&event.kind, stage, &mail)?)])
    }

    async fn fetch_content(&self, mut message: InboundMessage) -> Result<InboundMessage, LookupError> {
        if !event::is_id(&message.carrier_id) {
            return Err(LookupError::NotFound);
        }
        // Without `cid`, the HTML would hold all images inline. They are among the attachments.
        let mail: Mail = self.fetch(&format!("{}?html_format=cid", message.carrier_id)).await?;
        message.in_reply_to = mail.header("In-Reply-To").map(str::to_owned);
        let tag = message.mail.take().and_then(|details| details.tag);
        message.mail = Some(Box::new(MailDetails {
            tag,
            ..details::read(&mail)
        }));
        message.attachments = mail.attachments(&message.carrier_id);
        message.body = mail.text.filter(|text| !text.is_empty());
        message.html = mail.html.filter(|html| !html.is_empty());
        message.subject = mail.subject.or(message.subject);
        message.incomplete = false;
        Ok(message)
    }

    /// Returns the signed download URL, which expires.
    async fn media(&self, attachment: &Attachment) -> Result<MediaRequest, LookupError> {
        let (mail, id) = attachment.source.split_once('/').ok_or(LookupError::NotFound)?;
        if !event::is_id(mail) || !event::is_id(id) {
            return Err(LookupError::NotFound);
        }
        let download: Download = self.fetch(&format!("{mail}/attachments/{id}")).await?;
        let url = Url::parse(&download.download_url).map_err(|_| LookupError::NoResponse)?;
        Ok(MediaRequest {
            is_carrier: url.origin() == self.origin,
            url: url.into(),
            headers: HeaderMap::new(),
        })
    }
}

/// Returns one webhook event for each recipient address, because their owners are not known here.
fn read_mail(mail: &Mail) -> Result<Vec<WebhookEvent>, UnreadableRequest> {
    let id = mail.id().ok_or(UnreadableRequest("the mail has no id"))?;
    let from = mailbox::read(&mail.from);
    let mut recipients: Vec<String> = Vec::new();
    let listed = [&mail.received_for, &mail.to, &mail.cc, &mail.bcc];
    for recipient in listed
        .into_iter()
        .flatten()
        .take(MAX_RECIPIENTS)
        .map(|text| mailbox::read(text))
    {
        // Other recipients can have unreadable addresses.
        if recipient.is_valid && !recipients.contains(&recipient.address) {
            recipients.push(recipient.address);
        }
    }
    if recipients.is_empty() {
        return Err(UnreadableRequest("the mail has no recipient"));
    }
    let notices = recipients.iter().map(|to| {
        WebhookEvent::Message(Box::new(InboundMessage {
            subject: mail.subject.clone(),
            attachments: mail.attachments(id),
            sender_name: from.name.clone(),
            sent_at: mail.created_at(),
            mail: Some(Box::new(details::read(mail))),
            incomplete: true,
            ..InboundMessage::between(id, Channel::Email, &from.address, to)
        }))
    });
    Ok(notices.collect())
}

fn stage(kind: &str) -> Option<DeliveryStatus> {
    Some(match kind {
        // A delay comes after the mail was sent and changes nothing: Resend keeps trying.
        "email.sent" | "email.delivery_delayed" => DeliveryStatus::Sent,
        // A complaint implies delivery.
        "email.delivered" | "email.complained" => DeliveryStatus::Delivered,
        "email.bounced" => DeliveryStatus::Undelivered,
        "email.failed" | "email.suppressed" => DeliveryStatus::Failed,
        "email.opened" | "email.clicked" => DeliveryStatus::Read,
        _ => return None,
    })
}

/// Builds the receipt. A complaint means that the mail was delivered and that consent is revoked. It comes after
/// `delivered`, so its class counts although the status is not new.
fn receipt(kind: &str, stage: DeliveryStatus, mail: &Outgoing) -> Result<Receipt, UnreadableRequest> {
    if !event::is_id(&mail.email_id) {
        return Err(UnreadableRequest("the mail has no id"));
    }
    let (code, failure) = match kind {
        "email.complained" => (Some("complained"), Some(RefusalClass::OptedOut)),
        "email.bounced" => {
            let bounce = mail.bounce.as_ref();
            let is_final = bounce.is_none_or(|bounce| {
                let kind = bounce.kind.as_deref();
                kind.is_some_and(|kind| kind.eq_ignore_ascii_case("permanent"))
            });
            // A full mailbox or greylisting: the same mail can pass later.
            let class = if is_final {
                RefusalClass::Recipient
            } else {
                RefusalClass::Throttled
            };
            (
                bounce.and_then(|bounce| bounce.sub_type.as_deref().or(bounce.kind.as_deref())),
                Some(class),
            )
        }
        "email.suppressed" => {
            let reason = mail.suppressed.as_ref().and_then(|reason| reason.kind.as_deref());
            (reason.or(Some("suppressed")), Some(RefusalClass::Recipient))
        }
        "email.failed" => (mail.failed.as_ref().and_then(|reason| reason.reason.as_deref()), None),
        _ => (None, None),
    };
    Ok(Receipt {
        carrier_id: mail.email_id.clone(),
        message: mail.our_id(),
        channel: Channel::Email,
        sender: mail
            .from
            .as_str()
            .map(mailbox::read)
            .filter(|mailbox| mailbox.is_valid)
            .map(|mailbox| mailbox.address),
        stage,
        error_code: code.map(http::label).filter(|code| !code.is_empty()),
        failure,
        price: None,
        tariff: None,
        org: None,
        is_marketing_only: false,
    })
}
