//! Incomplete events: completes them with their body and attachments, or releases them when their time limit has passed.

use std::sync::Arc;

use butt_dial_domain::{AgentId, Failure, ports::carrier::LookupError};
use butt_dial_store::IncompleteEvent;
use chrono::TimeDelta;
use futures::StreamExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};

use super::{
    Media,
    attachments::{fetch_attachments, is_pending},
    call_recordings,
    deferred_body::FIRST_RETRY,
    download::FETCH_TIMEOUT,
    transcription::{self, Attempt, StoredRecording},
};
use crate::{EventContent, mail};

/// Events of one sweep, all of them concurrent: the claim of one that waited for others would expire.
const BATCH: usize = 16;
/// For everything that is fetched for one event.
const EVENT_TIMEOUT: Duration = Duration::from_secs(40);
/// Longer than the timeout, so that no other process fetches the same event meanwhile.
const CLAIM: TimeDelta = TimeDelta::seconds(45);
/// How long an event is held back for its attachments. Then it is released and lists the missing ones.
pub(super) const ATTACHMENT_TIMEOUT: TimeDelta = TimeDelta::minutes(3);
/// How long a message is held back for its body, and with it all later events of its agent. Then it is released without the
/// body, which follows (`deferred_body.rs`).
pub(super) const BODY_TIMEOUT: TimeDelta = TimeDelta::seconds(20);
/// The delay between attempts for an event is half its age, within these bounds.
const MIN_RETRY_DELAY: TimeDelta = TimeDelta::seconds(2);
pub(super) const MAX_RETRY_DELAY: TimeDelta = TimeDelta::seconds(20);

/// A claimed event. No other process works on it before the claim expires.
struct ClaimedEvent {
    event: IncompleteEvent,
    deadline: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Media {
    /// Starts fetching for incomplete events in the background.
    pub fn spawn_fetch(self: &Arc<Self>) {
        let Some(mut flight) = self.fetching.start() else {
            return;
        };
        let media = self.clone();
        self.tasks.spawn(async move {
            loop {
                match claim(&media).await {
                    Ok(claimed) => {
                        let is_full = claimed.len() == BATCH;
                        for event in claimed {
                            let working = media.clone();
                            media.tasks.spawn(async move { event.process(&working).await });
                        }
                        if is_full {
                            continue;
                        }
                    }
                    Err(failure) => tracing::warn!(%failure, "incomplete events not claimed"),
                }
                match flight.finish() {
                    Some(again) => flight = again,
                    None => return,
                }
            }
        });
    }

    /// Fetches for the incomplete events that are due. Returns how many were claimed.
    pub async fn fetch_due(&self) -> Result<usize, Failure> {
        let claimed = claim(self).await?;
        let count = claimed.len();
        futures::stream::iter(claimed)
            .for_each_concurrent(None, |event| event.process(self))
            .await;
        Ok(count)
    }

    /// Notifies readers and the delivery worker of a new event of the agent.
    pub(super) async fn notify(&self, agent: AgentId) {
        self.delivery.notify_readers(&agent).await;
        self.delivery.wake(agent);
    }
}

/// Claims as many events as there are permits. The rest stays due.
async fn claim(media: &Media) -> Result<Vec<ClaimedEvent>, Failure> {
    let permits: Vec<_> = std::iter::from_fn(|| media.event_permits.clone().try_acquire_owned().ok())
        .take(BATCH)
        .collect();
    if permits.is_empty() {
        return Ok(Vec::new());
    }
    let (now, deadline) = (media.clock.now(), Instant::now() + EVENT_TIMEOUT);
    let limit = u32::try_from(permits.len()).unwrap_or(u32::MAX);
    let due = media.store.claim_incomplete_events(limit, now, now + CLAIM).await?;
    let claimed = due.into_iter().zip(permits).map(|(event, permit)| ClaimedEvent {
        event,
        deadline,
        _permit: permit,
    });
    Ok(claimed.collect())
}

impl ClaimedEvent {
    async fn process(self, media: &Media) {
        let id = self.event.id.clone();
        if let Err(failure) = complete(media, self.event, self.deadline).await {
            tracing::warn!(%failure, event = id, "incomplete event not completed; it stays due");
        }
    }
}

async fn complete(media: &Media, mut event: IncompleteEvent, deadline: Instant) -> Result<(), Failure> {
    let content = event
        .content
        .as_deref()
        .and_then(|sealed| EventContent::open(&media.vault, &event.org(), &event.id, sealed));
    let Some(mut content) = content else {
        return finish(media, &event, None).await;
    };
    let Some(webhooks) = media.find_webhooks(&event.data).await? else {
        // The carrier is no longer configured, so nothing can be fetched from it.
        return finish(media, &event, None).await;
    };
    if content.message.incomplete {
        let remaining = (event.created_at + BODY_TIMEOUT - media.clock.now()).max(MIN_RETRY_DELAY);
        let remaining = remaining.to_std().unwrap_or(FETCH_TIMEOUT).min(FETCH_TIMEOUT);
        match timeout(remaining, webhooks.fetch_content(content.message.clone())).await {
            Ok(Ok(message)) => {
                content.message = message.cleaned();
                content.message.incomplete = false;
                let (org, mut data) = (event.org(), event.data.clone());
                mail::complete(
                    &media.store,
                    &media.vault,
                    (&org, &event.id),
                    &mut data,
                    &mut content.message,
                    event.created_at,
                )
                .await?;
                content.search().await;
                mark_incomplete(media, &mut event, data, false).await?;
            }
            Ok(Err(LookupError::NotFound)) => {
                tracing::error!(event = event.id, "message body gone; event released without it");
                let data = event.data.clone();
                mark_incomplete(media, &mut event, data, true).await?;
            }
            Ok(Err(LookupError::NoResponse)) | Err(_) => {
                if media.clock.now() - event.created_at < BODY_TIMEOUT {
                    return reschedule(media, &event, None).await;
                }
                tracing::warn!(event = event.id, "message body late; event released without it");
                return release_without_body(media, &event).await;
            }
        }
    }
    let is_last_attempt = media.clock.now() - event.created_at >= ATTACHMENT_TIMEOUT;
    content.links = fetch_attachments(media, &event, webhooks.as_ref(), &content, deadline, is_last_attempt).await;
    let sealed = content.seal(&media.vault, &event.org(), &event.id);
    if content.links.iter().any(is_pending) {
        // The attachments that were fetched are stored, and not fetched again.
        return reschedule(media, &event, Some(&sealed)).await;
    }
    if content.message.call_recording.is_some() {
        // Stored before the deletion: another attempt must not fetch what is deleted.
        reschedule(media, &event, Some(&sealed)).await?;
        let carrier = event.data["provider"].as_str().unwrap_or_default();
        if !call_recordings::delete_at_carrier(media, carrier, &content).await? && !is_last_attempt {
            return Ok(());
        }
    }
    let Some(number) = transcription::find_recording(&content).filter(|_| media.has_transcriber()) else {
        return finish(media, &event, Some(&sealed)).await;
    };
    let (org, agent) = (event.org(), event.agent());
    let recording = StoredRecording {
        org: &org,
        agent: &agent,
        event: &event.id,
        created_at: event.created_at,
        number,
    };
    match media.transcribe(&recording).await {
        Attempt::Done(transcript) => {
            let (id, message) = ((&org, event.id.as_str(), event.created_at), &mut content.message);
            transcription::add_transcript(media, id, &mut event.data, message, transcript).await?;
            content.search().await;
            let sealed = content.seal(&media.vault, &org, &event.id);
            media
                .store
                .update_incomplete_event(&agent, event.seq, &event.data)
                .await?;
            finish(media, &event, Some(&sealed)).await
        }
        Attempt::Later => release_without_transcript(media, &event, &sealed, number).await,
        Attempt::Never => finish(media, &event, Some(&sealed)).await,
    }
}

/// Releases the event without its transcript, which follows.
async fn release_without_transcript(
    media: &Media,
    event: &IncompleteEvent,
    sealed: &[u8],
    number: usize,
) -> Result<(), Failure> {
    let (agent, now) = (event.agent(), media.clock.now());
    let stored = media
        .store
        .reschedule_incomplete_event(&agent, event.seq, Some(sealed), now);
    stored.await?;
    release(media, event, transcription::PENDING, json!(number)).await
}

/// Replaces the data of the event, with or without the mark that its body is missing.
async fn mark_incomplete(
    media: &Media,
    event: &mut IncompleteEvent,
    mut data: Value,
    is_incomplete: bool,
) -> Result<(), Failure> {
    const KEY: &str = "incomplete";
    if let Some(data) = data.as_object_mut() {
        match is_incomplete {
            true => drop(data.insert(KEY.into(), json!(true))),
            false => drop(data.remove(KEY)),
        }
    }
    if data == event.data {
        return Ok(());
    }
    event.data = data;
    media
        .store
        .update_incomplete_event(&event.agent(), event.seq, &event.data)
        .await?;
    Ok(())
}

/// Schedules the next attempt, and stores what has been fetched so far.
async fn reschedule(media: &Media, event: &IncompleteEvent, sealed: Option<&[u8]>) -> Result<(), Failure> {
    let now = media.clock.now();
    let retry_at = now + ((now - event.created_at) / 2).clamp(MIN_RETRY_DELAY, MAX_RETRY_DELAY);
    media
        .store
        .reschedule_incomplete_event(&event.agent(), event.seq, sealed, retry_at)
        .await?;
    Ok(())
}

/// Releases the event with everything that was fetched.
async fn finish(media: &Media, event: &IncompleteEvent, sealed: Option<&[u8]>) -> Result<(), Failure> {
    let now = media.clock.now();
    let agent = event.agent();
    media.store.complete_event(&agent, event.seq, sealed, now).await?;
    media.notify(agent).await;
    Ok(())
}

/// Releases the event without its body, marked with `bodyPending`.
async fn release_without_body(media: &Media, event: &IncompleteEvent) -> Result<(), Failure> {
    release(media, event, "bodyPending", json!(true)).await
}

/// Releases the event with a mark of what follows.
async fn release(media: &Media, event: &IncompleteEvent, mark: &str, value: Value) -> Result<(), Failure> {
    let mut data = event.data.clone();
    if let Some(data) = data.as_object_mut() {
        data.insert(mark.to_owned(), value);
    }
    let now = media.clock.now();
    let agent = event.agent();
    media
        .store
        .release_without_body(&agent, event.seq, &data, (now, now + FIRST_RETRY))
        .await?;
    media.notify(agent).await;
    Ok(())
}
