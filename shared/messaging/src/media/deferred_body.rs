//! Deferred bodies: a message was released without its body and marked with `bodyPending`, or without the transcript of its
//! recording and marked with `transcriptPending`. When the body or the transcript has been fetched, a second event of the same
//! message follows, and names the event that it `completes`.

use std::sync::Arc;

use butt_dial_domain::{Channel, Failure, clock::Timestamp, inbound::InboundMessage, ports::carrier::LookupError};
use butt_dial_store::{EventAwaitingBody, InboundRow};
use chrono::TimeDelta;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    Media,
    download::FETCH_TIMEOUT,
    transcription::{self, Attempt, PENDING, StoredRecording},
};
use crate::{EventContent, delivery::MESSAGE_RECEIVED, mail};

/// Events of one sweep, all of them concurrent.
const BATCH: u32 = 16;
/// Longer than one attempt takes.
const CLAIM: TimeDelta = TimeDelta::seconds(45);
/// The delay between attempts is half the event's age, within these bounds.
pub(super) const FIRST_RETRY: TimeDelta = TimeDelta::seconds(10);
pub(super) const MAX_RETRY_DELAY: TimeDelta = TimeDelta::minutes(10);
/// After this time the event that completes the message is sent without a body.
const BODY_TIMEOUT: TimeDelta = TimeDelta::hours(24);

impl Media {
    /// Fetches the deferred bodies that are due, until none is. Returns how many were claimed.
    pub async fn fetch_deferred_bodies(self: &Arc<Self>) -> Result<usize, Failure> {
        let mut fetched = 0;
        loop {
            let count = fetch_as_of(self, self.clock.now()).await?;
            fetched += count;
            if count < BATCH as usize {
                return Ok(fetched);
            }
        }
    }
}

pub(super) async fn fetch_as_of(media: &Arc<Media>, now: Timestamp) -> Result<usize, Failure> {
    let due = media.store.claim_deferred_bodies(BATCH, now, now + CLAIM).await?;
    let count = due.len();
    futures::stream::iter(due)
        .for_each_concurrent(None, |event| async move {
            if let Err(failure) = fetch_body(media, &event).await {
                tracing::warn!(%failure, event = event.id, "deferred body not fetched; it stays due");
            }
        })
        .await;
    Ok(count)
}

async fn fetch_body(media: &Arc<Media>, event: &EventAwaitingBody) -> Result<(), Failure> {
    if let Some(number) = event.data[PENDING].as_u64() {
        return fetch_transcript(media, event, usize::try_from(number).unwrap_or(usize::MAX)).await;
    }
    let webhooks = media.find_webhooks(&event.data).await?;
    let (Some(webhooks), Some(message)) = (webhooks, rebuild_message(&event.data)) else {
        // The carrier is no longer configured.
        return append(media, event, None).await;
    };
    match timeout(FETCH_TIMEOUT, webhooks.fetch_content(message)).await {
        Ok(Ok(message)) => append(media, event, Some(message)).await,
        Ok(Err(LookupError::NotFound)) => append(media, event, None).await,
        Ok(Err(LookupError::NoResponse)) | Err(_) => retry(media, event).await,
    }
}

/// Schedules the next attempt, or ends the wait.
async fn retry(media: &Arc<Media>, event: &EventAwaitingBody) -> Result<(), Failure> {
    let now = media.clock.now();
    let age = now - event.created_at;
    if age > BODY_TIMEOUT {
        return append(media, event, None).await;
    }
    let again = now + (age / 2).clamp(FIRST_RETRY, MAX_RETRY_DELAY);
    Ok(media.store.reschedule_body_fetch(event, again).await?)
}

/// Requests the transcript of the event's recording again.
async fn fetch_transcript(media: &Arc<Media>, event: &EventAwaitingBody, number: usize) -> Result<(), Failure> {
    let (org, agent) = (event.org(), event.agent());
    let recording = StoredRecording {
        org: &org,
        agent: &agent,
        event: &event.id,
        created_at: event.created_at,
        number,
    };
    let message = rebuild_message(&event.data);
    match (media.transcribe_again(&recording).await, message) {
        (Attempt::Done(transcript), Some(mut message)) => {
            let mut event = event.clone();
            let id = (&org, event.id.as_str(), event.created_at);
            transcription::add_transcript(media, id, &mut event.data, &mut message, transcript).await?;
            append(media, &event, Some(message)).await
        }
        (Attempt::Later, Some(_)) => retry(media, event).await,
        (Attempt::Never, _) | (_, None) => append(media, event, None).await,
    }
}

/// Rebuilds the message as its carrier announced it, from the event's permanent data.
fn rebuild_message(data: &Value) -> Option<InboundMessage> {
    let text = |key: &str| data[key].as_str();
    let channel = Channel::parse(text("channel")?)?;
    let mut message = InboundMessage::between(text("providerMessageId")?, channel, text("from")?, text("to")?);
    message.incomplete = true;
    Some(message)
}

/// Appends the event that completes the message. `None`: the body will never arrive.
async fn append(media: &Arc<Media>, event: &EventAwaitingBody, message: Option<InboundMessage>) -> Result<(), Failure> {
    let (agent, org, id) = (event.agent(), event.org(), format!("{}_text", event.id));
    let mut data = event.data.clone();
    if let Some(data) = data.as_object_mut() {
        data.remove("bodyPending");
        data.remove(PENDING);
        data.insert("completes".into(), json!(event.id));
        if message.is_none() {
            tracing::error!(event = event.id, "body or transcript of a message will not arrive");
            data.insert("incomplete".into(), json!(true));
        }
    }
    let message = match message {
        Some(message) => {
            let mut message = message.cleaned();
            message.incomplete = false;
            mail::complete(
                &media.store,
                &media.vault,
                (&org, &id),
                &mut data,
                &mut message,
                event.created_at,
            )
            .await?;
            Some(message)
        }
        None => None,
    };
    let has_attachments = message.as_ref().is_some_and(|message| !message.attachments.is_empty());
    let content = match message {
        Some(message) => Some(EventContent::of(message).await.seal(&media.vault, &org, &id)),
        None => None,
    };
    let completion = InboundRow::builder()
        .kind(MESSAGE_RECEIVED)
        .channel(
            data["channel"]
                .as_str()
                .and_then(Channel::parse)
                .unwrap_or(Channel::Email),
        )
        .contact(data["from"].as_str().unwrap_or_default().to_owned())
        .data(data)
        .maybe_content(content)
        .is_incomplete(has_attachments)
        .is_quiet(event.is_quiet)
        .agent(agent)
        .org(org)
        .id(id)
        .build();
    let added = media
        .store
        .append_deferred_body(event, &completion, media.clock.now())
        .await;
    if added? {
        media.notify(completion.agent).await;
        if completion.is_incomplete {
            media.spawn_fetch();
        }
    }
    Ok(())
}
