//! LINE's webhooks: messages, and users that add or block the account (LINE, Webhook event objects).

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, header};
use butt_dial_domain::{
    Address, Channel,
    inbound::{Attachment, Group, InboundMessage, Keyword, SkippedEntry, WebhookEvent},
    parts::Part,
    ports::{
        carrier::LookupError,
        webhook::{MediaRequest, UnreadableRequest, VerificationError, WebhookRequest, Webhooks},
    },
};
use chrono::DateTime;
use serde_json::Value;

use super::{
    ACCESS_TOKEN, CHANNEL_SECRET, DATA_ENDPOINT, DEFAULT_DATA_ENDPOINT, DEFAULT_ENDPOINT, ENDPOINT,
    event::{Event, Members, Message, Postback, Source},
    webhook, wire,
};
use crate::{Secret, json, vendor::Credentials};

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
        let unreadable = UnreadableRequest("the body is not a webhook in JSON");
        let mut call = json::parse(&request.body).ok_or(unreadable)?;
        let our_id = json::text(&call["destination"]).ok_or(unreadable)?;
        let events = json::take_list(&mut call, "events").ok_or(unreadable)?;
        // Empty in LINE's test request for the URL.
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let Ok(our_id) = Address::parse(Channel::Line, &our_id) else {
            return Err(UnreadableRequest("the destination is not a bot"));
        };
        Ok(events.into_iter().map(|event| read_event(event, &our_id)).collect())
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

const MALFORMED: WebhookEvent = WebhookEvent::Skipped(SkippedEntry::Malformed);
const IRRELEVANT: WebhookEvent = WebhookEvent::Skipped(SkippedEntry::Irrelevant);

fn read_event(value: Value, our_id: &Address) -> WebhookEvent {
    let given_id = json::text(&value["webhookEventId"]);
    let id = given_id.unwrap_or_else(|| json::derived_id(&value));
    let Ok(event) = serde_json::from_value::<Event>(value) else {
        return MALFORMED;
    };
    let Some(kind) = event.kind.as_deref() else {
        return MALFORMED;
    };
    if event.mode.as_deref() == Some("standby") {
        return IRRELEVANT;
    }
    let mut message = InboundMessage {
        sent_at: event.timestamp.and_then(DateTime::from_timestamp_millis),
        group: group(&event.source),
        ..InboundMessage::new(id, Channel::Line, &sender(&event.source), our_id)
    };
    let message = match (kind, &event.message) {
        ("message", Some(sent)) => read_message(message, sent),
        // Blocking the account counts as STOP, unblocking as START; LINE already applies both.
        ("unfollow" | "follow", _) => {
            let keyword = if kind == "follow" {
                Keyword::Start
            } else {
                Keyword::Stop
            };
            message.answered_keyword = Some(keyword);
            message.parts.push(notice(kind, &[]));
            message
        }
        _ => match part(kind, &event) {
            Some(part) => message.with_part(part),
            None => return IRRELEVANT,
        },
    };
    WebhookEvent::Message(Box::new(message))
}

fn read_message(mut message: InboundMessage, sent: &Message) -> InboundMessage {
    // LINE redelivers by event id; users quote by message id. So the id holds both.
    if let Some(id) = &sent.id {
        message.carrier_id = format!("{}-{id}", message.carrier_id);
    }
    message.in_reply_to = sent.quoted_message_id.clone();
    let kind = sent.kind.as_deref().unwrap_or("unknown");
    match (kind, &sent.id) {
        ("text", _) => message.body = sent.text.clone(),
        ("image" | "video" | "audio" | "file", Some(id)) => message.attachments = vec![attachment(id, kind, sent)],
        _ => return message.with_part(message_part(kind, sent)),
    }
    message
}

fn message_part(kind: &str, sent: &Message) -> Part {
    match (kind, sent.latitude.clone(), sent.longitude.clone()) {
        ("location", Some(latitude), Some(longitude)) => Part::Location {
            latitude,
            longitude,
            name: sent.title.clone(),
            address: sent.address.clone(),
            url: None,
        },
        ("sticker", ..) => Part::Sticker {
            id: sent.sticker_id.clone(),
            package_id: sent.package_id.clone(),
            text: sent.text.clone(),
            keywords: sent.keywords.clone(),
        },
        _ => Part::unsupported(kind),
    }
}

fn notice(kind: &str, members: &[Source]) -> Part {
    Part::System {
        notice: kind.to_owned(),
        text: None,
        details: members
            .iter()
            .enumerate()
            .filter_map(|(number, member)| Some((format!("member{}", number + 1), member.user_id.clone()?)))
            .collect(),
    }
}

/// Returns the part of an event that is no message. `None`: it concerns no conversation.
fn part(kind: &str, event: &Event) -> Option<Part> {
    let members = |members: &Option<Members>| notice(kind, members.as_ref().map_or(&[], |members| &members.members));
    Some(match kind {
        "postback" => choice(event.postback.as_ref()?),
        "unsend" => Part::Deletion {
            message_id: event.unsend.as_ref()?.message_id.clone()?,
        },
        "memberJoined" => members(&event.joined),
        "memberLeft" => members(&event.left),
        "join" | "leave" => notice(kind, &[]),
        // No words of a person.
        "videoPlayComplete" | "activated" | "deactivated" | "module" | "botSuspended" | "botResumed" => return None,
        other => Part::unsupported(other),
    })
}

fn choice(postback: &Postback) -> Part {
    let params = postback.params.iter();
    Part::Choice {
        id: None,
        title: postback.display_text.clone(),
        description: None,
        payload: postback.data.clone(),
        params: params
            .filter_map(|(name, value)| Some((name.clone(), json::text(value)?)))
            .collect(),
    }
}

/// Returns the user, or the group when LINE does not name the member.
fn sender(source: &Source) -> Address {
    let id = source.user_id.as_deref().or_else(|| place(source));
    Address::known(Channel::Line, id.unwrap_or_default())
}

fn group(source: &Source) -> Option<Group> {
    let id = place(source)?.to_owned();
    Some(Group { id, name: None })
}

fn place(source: &Source) -> Option<&str> {
    source.group_id.as_deref().or(source.room_id.as_deref())
}

fn attachment(id: &str, kind: &str, sent: &Message) -> Attachment {
    Attachment {
        source: id.to_owned(),
        // LINE names the kind only, and converts to these types (LINE, Get content).
        content_type: match kind {
            "image" => Some("image/jpeg".to_owned()),
            "video" => Some("video/mp4".to_owned()),
            "audio" => Some("audio/x-m4a".to_owned()),
            _ => None,
        },
        filename: sent.file_name.clone(),
        size: sent.file_size,
        // Users record audio in the app; files are sent as such.
        is_voice: kind == "audio",
    }
}
