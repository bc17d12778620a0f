//! A text that is too long for one message, sent as several at the caller's wish. Each part is a message with its own limits and
//! price, and passes the same pipeline. The keys of further parts derive from the key of the request, so that a repeat of the request
//! sends only what has not been sent, even if a later try has sent the first part.

use std::sync::Arc;

use butt_dial_domain::{
    AgentId, Channel, Code, Failure, Micros, bounds,
    clock::Timestamp,
    ids,
    message::{Content, Status},
    sms,
};
use butt_dial_language::divide;
use butt_dial_store::Message;
use chrono::TimeDelta;
use serde_json::json;

use super::{
    Outbound, SendReceipt, SendRequest,
    authorize::{Authorized, authorize},
    choose_sender::Binding,
    fields::{parse_recipient, text},
    find_carrier::find_carrier,
    receipt::PartReceipt,
    validate::max_text,
};
use crate::inbound::envelope::digest;

/// A person does not want more messages at once.
const MAX_PARTS: usize = 10;
/// Carriers refuse or garble longer texts: 3GPP allows 255 segments, networks about ten.
const MAX_SEGMENTS: u32 = 10;

/// Sends a request on its channel, divided into parts if it is too long and the caller wishes so.
pub(super) async fn send(outbound: &Arc<Outbound>, mut request: SendRequest) -> Result<SendReceipt, Failure> {
    if !request.splits {
        return outbound.send_with_retry(request).await;
    }
    let mut texts = divided(outbound, &request).await?.into_iter();
    let (Some(first), count) = (texts.next(), texts.len() + 1) else {
        return outbound.send_with_retry(request).await;
    };
    if count == 1 {
        return outbound.send_with_retry(request).await;
    }
    // A repeat within the process finds the parts by it.
    let key = request
        .idempotency_key
        .get_or_insert_with(|| format!("auto-{}", ids::unique()))
        .clone();
    let mut whole = outbound
        .send_with_retry(SendRequest {
            body: Some(first),
            ..request.clone()
        })
        .await?;
    whole.parts.push(PartReceipt::of(&whole));
    // The time of the last part that waits: later ones wait for it, so that the order stays.
    let mut last = whole.scheduled_at.or(request.scheduled_at);
    for (index, text) in texts.enumerate() {
        let number = index + 2;
        let part = further(&request, part_key(&key, number), last, text);
        match outbound.send_with_retry(part).await {
            Ok(part) => {
                last = part.scheduled_at.or(last);
                add(&mut whole, &part);
            }
            Err(failure) => return Err(incomplete(failure, &whole, number, count)),
        }
    }
    Ok(whole)
}

/// Returns the texts of the messages. Empty: the request has no text that could be divided.
async fn divided(outbound: &Outbound, request: &SendRequest) -> Result<Vec<String>, Failure> {
    let is_divisible = Channel::MESSAGES.contains(&request.channel)
        && request.channel != Channel::Email
        && request.template_id.is_none()
        && request.rich.is_none();
    let Some(body) = request.body.as_deref().filter(|_| is_divisible) else {
        return Ok(Vec::new());
    };
    let channel = request.channel;
    let authorized = authorize(outbound, request.clone(), Binding::Keep).await?;
    let max = match authorized.request.colleague {
        Some(_) => bounds::INTERNAL_TEXT,
        None => max_text(channel),
    };
    let body = text("body", body, MAX_PARTS * max).map_err(|failure| failure.on(channel))?;
    if is_internal(outbound, &authorized).await? {
        // No carrier is involved, and nothing is disclosed.
        return limited(channel, divide(&body, |text| text.chars().count() <= max));
    }
    let carrier = find_carrier(outbound, channel, authorized.sender.account.as_ref()).await?;
    let limit = carrier.messaging.text_limit(&Content::default());
    // Only the first message has the files, and its text may be shorter for them.
    let of_first = carrier.messaging.text_limit(&Content {
        media: request.media.clone(),
        ..Content::default()
    });
    // The first message to a person may get the disclosure.
    let own = authorized.profile.choices.disclosure_text.as_deref();
    let disclosure = own.unwrap_or(&outbound.settings.disclosure);
    let start = body.trim_start().as_ptr();
    let is_first = |text: &str| text.as_ptr() == start;
    let texts = divide(&body, |text| {
        let whole = format!("{text}\n\n{disclosure}");
        let limit = if is_first(text) { &of_first } else { &limit };
        limit.allows(&whole) && (channel != Channel::Sms || sms::segments(&whole).1 <= MAX_SEGMENTS)
    });
    limited(channel, texts)
}

/// Returns whether the recipient is an agent of the organization.
async fn is_internal(outbound: &Outbound, authorized: &Authorized) -> Result<bool, Failure> {
    let (agent, sender) = (&authorized.profile.agent, &authorized.sender);
    let to = parse_recipient(authorized.request.channel, &authorized.request.to)?;
    let channel = (&sender.id, authorized.request.channel);
    let contact = outbound
        .store
        .find_contact_state(&agent.org_id, &agent.id, channel, to.as_str(), "")
        .await?;
    Ok(contact.recipient_agent.is_some())
}

/// Fails with `InvalidContent` for more messages than are sent at once.
fn limited(channel: Channel, texts: Vec<String>) -> Result<Vec<String>, Failure> {
    match texts.len() {
        0..=MAX_PARTS => Ok(texts),
        count => Err(Failure::new(
            Code::InvalidContent,
            format!("the text would be {count} messages; {MAX_PARTS} are the most"),
        )
        .on(channel)
        .detail("fields", json!(["body"]))
        .hint("shorten the text, or send it by e-mail")),
    }
}

/// Returns the requests of the messages that a request would be sent as. Empty: it is sent as it is.
pub(super) async fn requests(outbound: &Outbound, request: &SendRequest) -> Result<Vec<SendRequest>, Failure> {
    let texts = divided(outbound, request).await?;
    if texts.len() < 2 {
        return Ok(Vec::new());
    }
    let mut parts = Vec::with_capacity(texts.len());
    for text in texts {
        parts.push(match (parts.len(), &request.idempotency_key) {
            (0, _) => SendRequest {
                body: Some(text),
                ..request.clone()
            },
            (before, Some(key)) => further(request, part_key(key, before + 1), request.scheduled_at, text),
            (_, None) => SendRequest {
                idempotency_key: None,
                ..further(request, String::new(), request.scheduled_at, text)
            },
        });
    }
    Ok(parts)
}

/// Returns the request for a further part.
fn further(request: &SendRequest, key: String, last: Option<Timestamp>, text: String) -> SendRequest {
    SendRequest {
        body: Some(text),
        media: Vec::new(),
        idempotency_key: Some(key),
        id: None,
        // Scheduled parts leave one after the other.
        scheduled_at: last.map(|at| at + TimeDelta::seconds(1)),
        // A repeat continues with it.
        keeps_key: false,
        ..request.clone()
    }
}

/// Derives the key of a part. No client chooses one like it by accident.
fn part_key(key: &str, number: usize) -> String {
    format!("part{number}-{}", digest(&[key]))
}

/// Adds the receipt of a further part to that of the whole.
fn add(whole: &mut SendReceipt, part: &SendReceipt) {
    whole.parts.push(PartReceipt::of(part));
    let sum = |one: Option<i64>, other: Option<i64>| Some(one? + other?);
    whole.segments = sum(whole.segments, part.segments);
    whole.cost = sum(whole.cost.map(|cost| cost.0), part.cost.map(|cost| cost.0)).map(Micros);
    whole.replayed &= part.replayed;
    // The whole is known when each part is.
    if matches!(part.status, Status::Sending | Status::Unknown) {
        whole.status = part.status;
    }
}

/// Adds to the failure of a part which parts have been sent.
fn incomplete(failure: Failure, whole: &SendReceipt, number: usize, count: usize) -> Failure {
    let sent: Vec<&str> = whole.parts.iter().map(|part| part.message.as_str()).collect();
    tracing::info!(%failure, message_id = %whole.message, part = number, "text sent in part");
    let failure = failure
        .on(whole.channel)
        .detail("failedPart", number)
        .detail("partCount", count)
        .detail(SENT_PARTS, json!(sent));
    match failure.is_retryable() {
        true => failure.hint("the parts before were sent; repeat with the same idempotencyKey to send the others"),
        false => failure,
    }
}

const SENT_PARTS: &str = "sentParts";

/// Returns whether parts of the text have been sent, so that it must not begin again on another channel.
pub(super) fn has_begun(failure: &Failure) -> bool {
    failure.details.contains_key(SENT_PARTS)
}

impl Outbound {
    /// Returns the further parts of the text that begins with this message, in order.
    pub async fn find_further_parts(&self, agent: &AgentId, first: &Message) -> Result<Vec<Message>, Failure> {
        let mut parts = Vec::new();
        if matches!(first.channel, Channel::Email | Channel::Voice) {
            return Ok(parts);
        }
        let Some((_, key)) = self.store.find_message_times(&first.id).await? else {
            return Ok(parts);
        };
        for number in 2..=MAX_PARTS {
            match self.store.find_message_by_key(agent, &part_key(&key, number)).await? {
                Some(part) => parts.push(part),
                None => break,
            }
        }
        Ok(parts)
    }
}
