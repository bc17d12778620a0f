//! Meta's webhooks: inbound messages and receipts, in batches (WhatsApp Cloud API, Webhooks components).

use std::time::Duration;

use async_trait::async_trait;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use butt_dial_domain::{
    Address, Channel, MessageId, Micros,
    clock::Timestamp,
    ids::is_valid_host_id,
    inbound::{
        Attachment, DeliveryStatus, InboundMessage, Receipt, SkippedEntry, Tariff, WebhookEvent, WhatsappCategory,
    },
    parts::Part,
    ports::{
        carrier::{LookupError, RefusalClass},
        webhook::{MediaRequest, UnreadableRequest, VerificationError, WebhookRequest, Webhooks},
    },
};
use serde_json::Value;
use url::{Origin, Url, form_urlencoded};

use super::{
    ACCESS_TOKEN, APP_SECRET, ENDPOINT, VERIFY_TOKEN, errors,
    event::{Contact, Message, Preference, Pricing, Status},
    message, webhook,
    wire::{self, Media},
};
use crate::{Secret, http, json, vendor::Credentials};

/// Meta's challenge has ten digits.
const MAX_CHALLENGE_LENGTH: usize = 128;
/// Digits of a recipient that the price depends on.
const TARIFF_DIGITS: usize = 7;

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
        let unreadable = UnreadableRequest("the body is not a batch in JSON");
        let mut batch = json::parse(&request.body).filter(Value::is_object).ok_or(unreadable)?;
        let entries = json::take_list(&mut batch, "entry").ok_or(unreadable)?;
        let mut events = Vec::new();
        for mut entry in entries {
            match json::take_list(&mut entry, "changes") {
                Some(changes) => changes
                    .into_iter()
                    .for_each(|change| read_change(change, request.received_at, &mut events)),
                None => events.push(MALFORMED),
            }
        }
        Ok(events)
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

const MALFORMED: WebhookEvent = WebhookEvent::Skipped(SkippedEntry::Malformed);
const IRRELEVANT: WebhookEvent = WebhookEvent::Skipped(SkippedEntry::Irrelevant);

/// Reads one change. An entry that can't be read costs no other: Meta repeats the whole batch or nothing.
fn read_change(mut change: Value, received_at: Timestamp, events: &mut Vec<WebhookEvent>) {
    let field = change["field"].as_str().unwrap_or_default().to_owned();
    if !matches!(field.as_str(), "messages" | "user_preferences") {
        return events.push(if field.is_empty() { MALFORMED } else { IRRELEVANT });
    }
    let mut value = change.get_mut("value").map(Value::take).unwrap_or_default();
    let our_number = json::text(&value["metadata"]["display_phone_number"]).and_then(|text| number(&text));
    let Some(our_number) = our_number else {
        return events.push(MALFORMED);
    };
    let mut take = |list| {
        json::take_list(&mut value, list).unwrap_or_else(|| {
            events.push(MALFORMED);
            Vec::new()
        })
    };
    let (messages, statuses) = (take("messages"), take("statuses"));
    let (contacts, preferences) = (take("contacts"), take("user_preferences"));
    let contacts: Vec<Contact> = contacts
        .into_iter()
        .filter_map(|contact| serde_json::from_value(contact).ok())
        .collect();
    events.extend(
        messages
            .into_iter()
            .map(|value| read_message(value, &our_number, &contacts)),
    );
    events.extend(statuses.into_iter().map(|value| read_status(value, &our_number)));
    let preferences = preferences.into_iter();
    events.extend(preferences.map(|value| read_preference(value, &our_number, received_at)));
    // Errors of the account, without a message.
    events.extend(take_list_of(&mut value, "errors").into_iter().map(|_| IRRELEVANT));
}

fn take_list_of(value: &mut Value, field: &str) -> Vec<Value> {
    json::take_list(value, field).unwrap_or_default()
}

/// Reads a message. Without an id and a sender, it is none.
fn read_message(value: Value, our_number: &Address, contacts: &[Contact]) -> WebhookEvent {
    let id = match value["id"].is_string() {
        true => String::new(),
        false => json::derived_id(&value),
    };
    match serde_json::from_value::<Message>(value) {
        Ok(message) if message.id.is_some() || message.from.is_some() || message.from_user_id.is_some() => {
            WebhookEvent::Message(Box::new(message::read(&message, &id, our_number, contacts)))
        }
        _ => MALFORMED,
    }
}

fn read_status(value: Value, our_number: &Address) -> WebhookEvent {
    match serde_json::from_value::<Status>(value) {
        Ok(status) => receipt(&status, our_number).map_or(IRRELEVANT, WebhookEvent::Receipt),
        Err(_) => MALFORMED,
    }
}

/// Reads a person's choice about marketing messages (WhatsApp Cloud API, user preferences).
fn read_preference(value: Value, our_number: &Address, received_at: Timestamp) -> WebhookEvent {
    let derived = json::derived_id(&value);
    let Ok(preference) = serde_json::from_value::<Preference>(value) else {
        return MALFORMED;
    };
    let mut names = [&preference.wa_id, &preference.user_id].into_iter().flatten();
    let Some(from) = names.next().map(|name| message::person(name)) else {
        return MALFORMED;
    };
    let choice = preference.value.unwrap_or_default().to_ascii_lowercase();
    let allowed = match choice.as_str() {
        "stop" => false,
        "resume" | "signup" => true,
        _ => return IRRELEVANT,
    };
    let said_at = preference.timestamp.as_deref().and_then(message::seconds);
    // Without a time, the same choice can come twice on its own.
    let id = match said_at {
        Some(_) => derived,
        None => format!("{derived}-{}", received_at.timestamp_millis()),
    };
    let mut read = InboundMessage::new(id, Channel::Whatsapp, &from, our_number);
    read.aliases = names.map(|name| message::person(name).as_str().to_owned()).collect();
    read.marketing = Some(allowed);
    read.sent_at = said_at;
    let category = preference.category.unwrap_or_else(|| "marketing_messages".to_owned());
    let read = read.with_part(Part::System {
        notice: format!("{category} {choice}"),
        text: preference.detail,
        details: Default::default(),
    });
    WebhookEvent::Message(Box::new(read))
}

fn receipt(status: &Status, our_number: &Address) -> Option<Receipt> {
    let stage = match status.status.as_deref()? {
        "sent" => DeliveryStatus::Sent,
        "delivered" => DeliveryStatus::Delivered,
        "read" | "played" => DeliveryStatus::Read,
        "failed" => DeliveryStatus::Failed,
        _ => return None,
    };
    let our_id = status.biz_opaque_callback_data.as_deref();
    let code = status.errors.iter().find_map(|fault| fault.code.as_deref());
    let class = code.and_then(|code| errors::class_of(code.parse().ok()?));
    Some(Receipt {
        carrier_id: status.id.clone(),
        message: our_id.filter(|id| is_valid_host_id(id)).map(MessageId::from),
        channel: Channel::Whatsapp,
        sender: Some(our_number.as_str().to_owned()),
        stage,
        error_code: code.map(http::label),
        // Earlier releases know the general class only.
        failure: match class {
            Some(RefusalClass::OptedOutOfMarketing) => Some(RefusalClass::OptedOut),
            class => class,
        },
        price: status
            .pricing
            .as_ref()
            .filter(|pricing| is_free(pricing))
            .map(|_| Micros::ZERO),
        tariff: tariff(status),
        org: None,
        is_marketing_only: class == Some(RefusalClass::OptedOutOfMarketing),
    })
}

/// Returns whether a message costs nothing: one of the free ones of a number each month, or one within 72 hours after a click on an
/// advertisement (WhatsApp Cloud API, status webhooks: `pricing`).
fn is_free(pricing: &Pricing) -> bool {
    let is_free_kind = pricing.kind.as_deref().is_some_and(|kind| kind.starts_with("free_"));
    pricing.billable == Some(false) || is_free_kind
}

fn tariff(status: &Status) -> Option<Tariff> {
    let pricing = status.pricing.as_ref().filter(|pricing| !is_free(pricing))?;
    let category = match pricing.category.as_deref()? {
        "service" | "group_service" => WhatsappCategory::Service,
        "utility" | "group_utility" => WhatsappCategory::Utility,
        "marketing" | "marketing_lite" | "group_marketing" => WhatsappCategory::Marketing,
        "authentication" | "authentication_international" => WhatsappCategory::Authentication,
        _ => return None,
    };
    let digits = status.recipient_id.as_deref()?.trim_start_matches('+');
    let prefix: String = digits.chars().take(TARIFF_DIGITS).collect();
    let is_number = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| Tariff {
        category,
        prefix: format!("+{prefix}"),
    })
}

/// Parses a phone number: digits, for businesses also with a plus, spaces and dashes.
fn number(text: &str) -> Option<Address> {
    let number = format!("+{}", text.trim_start_matches('+'));
    Address::parse(Channel::Whatsapp, &number).ok()
}
