//! LINE's webhooks: messages, and users that add or block the account (LINE, Webhook event objects).

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, header};
use butt_dial_domain::{
    Address, Channel,
    inbound::{Attachment, Group, InboundMessage, Keyword, WebhookEvent},
    ports::{
        carrier::LookupError,
        webhook::{MediaRequest, UnreadableRequest, VerificationError, WebhookRequest, Webhooks},
    },
};
use chrono::DateTime;

use super::{
    ACCESS_TOKEN, CHANNEL_SECRET, DATA_ENDPOINT, DEFAULT_DATA_ENDPOINT, DEFAULT_ENDPOINT, ENDPOINT,
    event::{Call, Event, Message, Source},
    webhook, wire,
};
use crate::{Secret, vendor::Credentials};

pub struct Inbound {
    /// The base URL of files, without a trailing slash.
    files: String,
    authorization: HeaderValue,
    secret: Option<Secret>,
}

impl Inbound {
    /// Checks the form of the credentials. Makes no request.
    pub fn new(credentials: &Credentials) -> Result<Self, String> {
        let endpoint = credentials.checked_endpoint(ENDPOINT)?;
        let files = match credentials.find(DATA_ENDPOINT) {
            Some(given) => {
                let given = Credentials::new(given.expose());
                given.checked_endpoint(DATA_ENDPOINT)?.to_owned()
            }
            None if endpoint == DEFAULT_ENDPOINT => DEFAULT_DATA_ENDPOINT.to_owned(),
            None => endpoint.to_owned(),
        };
        let bearer = format!("Bearer {}", credentials.get(ACCESS_TOKEN)?.expose());
        let mut authorization = HeaderValue::from_str(&bearer)
            .map_err(|_| format!("{ACCESS_TOKEN} has characters that a token can't have"))?;
        authorization.set_sensitive(true);
        let secret = credentials
            .find(CHANNEL_SECRET)
            .filter(|secret| !secret.expose().is_empty());
        Ok(Self {
            files,
            authorization,
            secret: secret.cloned(),
        })
    }
}

#[async_trait]
impl Webhooks for Inbound {
    fn signature_header(&self) -> &'static str {
        webhook::HEADER
    }

    fn verify(&self, request: &WebhookRequest) -> Result<(), VerificationError> {
        let secret = self.secret.as_ref().ok_or(VerificationError::NoSecret)?;
        let signature = request.header(webhook::HEADER).ok_or(VerificationError::Unsigned)?;
        if webhook::verify(secret, &request.body, signature) {
            Ok(())
        } else {
            Err(VerificationError::WrongSignature)
        }
    }

    fn parse(&self, request: &WebhookRequest) -> Result<Vec<WebhookEvent>, UnreadableRequest> {
        let call: Call = serde_json::from_slice(&request.body)
            .map_err(|_| UnreadableRequest("the body is not a webhook in JSON"))?;
        if call.events.is_empty() {
            return Ok(Vec::new());
        }
        let Ok(our_id) = Address::parse(Channel::Line, &call.destination) else {
            return Err(UnreadableRequest("the destination is not a bot"));
        };
        let events = call
            .events
            .into_iter()
            .filter_map(|event| match serde_json::from_value(event) {
                Ok(event) => Some(event),
                Err(_) => {
                    // The parser error is not logged, because it quotes the input.
                    tracing::debug!("webhook event skipped: unreadable");
                    None
                }
            });
        let notices = events.filter_map(|event| read_event(&event, &our_id));
        Ok(notices.map(Box::new).map(WebhookEvent::Message).collect())
    }

    async fn media(&self, attachment: &Attachment) -> Result<MediaRequest, LookupError> {
        if !wire::is_message_id(&attachment.source) {
            return Err(LookupError::NotFound);
        }
        Ok(MediaRequest {
            url: format!("{}/v2/bot/message/{}/content", self.files, attachment.source),
            headers: HeaderMap::from_iter([(header::AUTHORIZATION, self.authorization.clone())]),
            is_carrier: true,
        })
    }
}

fn read_event(event: &Event, our_id: &Address) -> Option<InboundMessage> {
    if event.mode.as_deref() == Some("standby") {
        return None;
    }
    let source = event.source.as_ref()?;
    let message = match (event.kind.as_str(), &event.message) {
        ("message", Some(message)) => read_message(event, message, source, our_id)?,
        // Blocking the account counts as STOP, unblocking as START; LINE already applies both.
        ("unfollow", _) => keyword(Keyword::Stop, event, source, our_id)?,
        ("follow", _) => keyword(Keyword::Start, event, source, our_id)?,
        _ => return None,
    };
    Some(InboundMessage {
        sent_at: event.timestamp.and_then(DateTime::from_timestamp_millis),
        ..message
    })
}

fn read_message(event: &Event, message: &Message, source: &Source, our_id: &Address) -> Option<InboundMessage> {
    // LINE redelivers by event id; users quote by message id. So the id holds both.
    let id = match &event.webhook_event_id {
        Some(event) => format!("{event}-{}", message.id),
        None => message.id.clone(),
    };
    let has_file = matches!(message.kind.as_str(), "image" | "video" | "audio" | "file");
    Some(InboundMessage {
        body: message.text.clone(),
        attachments: has_file.then(|| attachment(message)).into_iter().collect(),
        group: group(source),
        in_reply_to: message.quoted_message_id.clone(),
        ..InboundMessage::new(id, Channel::Line, &sender(source)?, our_id)
    })
}

fn keyword(keyword: Keyword, event: &Event, source: &Source, our_id: &Address) -> Option<InboundMessage> {
    let id = event.webhook_event_id.as_deref()?;
    Some(InboundMessage {
        answered_keyword: Some(keyword),
        ..InboundMessage::new(id, Channel::Line, &sender(source)?, our_id)
    })
}

/// Returns the user, or the group when LINE does not name the member.
fn sender(source: &Source) -> Option<Address> {
    let id = source.user_id.as_deref().or_else(|| place(source))?;
    Address::parse(Channel::Line, id).ok()
}

fn group(source: &Source) -> Option<Group> {
    let id = place(source)?.to_owned();
    Some(Group { id, name: None })
}

fn place(source: &Source) -> Option<&str> {
    source.group_id.as_deref().or(source.room_id.as_deref())
}

fn attachment(message: &Message) -> Attachment {
    Attachment {
        source: message.id.clone(),
        content_type: None,
        filename: message.file_name.clone(),
        size: message.file_size,
        is_voice: false,
    }
}
