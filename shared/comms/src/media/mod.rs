//! What people send beside words: fetched from the carrier, kept encrypted, and given to the agent as a link that expires.
//! An event waits until that is done, or until it is clear that it can't be.

mod blobs;
mod download;
pub mod late;
mod link;
pub mod sound;
#[cfg(test)]
mod tests;
mod turn;

use std::time::Duration;

use butt_dial_domain::{
    AgentId, Failure,
    inbound::Attachment,
    ports::{carrier::LookupFailed, webhook::Webhooks},
};
use butt_dial_store::UnreadyEvent;
use bytes::Bytes;
use chrono::TimeDelta;
use futures::{FutureExt, StreamExt};
use serde_json::json;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout, timeout_at},
};

pub use blobs::{Blob, Blobs, BlobsConfig, Meta};
pub use link::{Expired, open};

use crate::{
    Comms,
    delivery::{
        ladder,
        view::{Content, StoredAttachment},
    },
    store_failure,
};
use download::{Fetched, Limits, Unfetched, download};
use turn::Turn;

/// Bytes of one attachment. MMS and WhatsApp stay below; e-mail may not.
const MAX_ATTACHMENT: usize = 25 * 1024 * 1024;
/// For one attachment, with its redirects.
const FETCH: Duration = Duration::from_secs(20);
/// Attachments of one message; those beyond are named, not fetched.
const MAX_ATTACHMENTS: usize = 20;
/// Attachments of one message at once.
const FETCHED_TOGETHER: usize = 4;
/// Events of one sweep, all of them at once: the claim of one that waited for others would run out.
const BATCH: usize = 16;
/// For all that is fetched for one event.
const DEADLINE: Duration = Duration::from_secs(40);
/// Longer than the deadline: nobody else may fetch the same meanwhile.
const CLAIM: TimeDelta = TimeDelta::seconds(45);
/// How long an event waits for its attachments; then it goes out and says what is missing.
const PATIENCE_FOR_ATTACHMENTS: TimeDelta = TimeDelta::minutes(3);
/// How long a message waits for its text, and with it everything that came to its agent after it. Then it goes out without,
/// and the text follows (`late.rs`).
const PATIENCE_FOR_TEXT: TimeDelta = TimeDelta::seconds(20);

/// Between two tries for the same event: half its age, within these.
const SOONEST: TimeDelta = TimeDelta::seconds(2);
const LATEST: TimeDelta = TimeDelta::seconds(20);

/// Events that this process works on. They hold a connection of the carrier's each, not the attachments themselves.
static AT_WORK: Semaphore = Semaphore::const_new(64);
/// Attachments in memory, of all these events.
static IN_MEMORY: Semaphore = Semaphore::const_new(8);

/// Looks at once what there is to fetch.
pub fn begin(comms: &Comms) {
    let Some(mut turn) = Turn::take(&comms.replica) else {
        return;
    };
    let working = comms.clone();
    comms.tasks.spawn(async move {
        loop {
            match claim(&working).await {
                Ok(claimed) => {
                    let is_full = claimed.len() == BATCH;
                    for one in claimed {
                        let working = working.clone();
                        working.tasks.clone().spawn(async move { one.work(&working).await });
                    }
                    if is_full {
                        continue;
                    }
                }
                Err(failure) => tracing::warn!(%failure, "attachments can't be fetched yet"),
            }
            match turn.pass() {
                Some(again) => turn = again,
                None => return,
            }
        }
    });
}

/// Fetches what is due. Returns how many events it looked at.
pub async fn sweep(comms: &Comms) -> Result<usize, Failure> {
    let claimed = claim(comms).await?;
    let count = claimed.len();
    futures::stream::iter(claimed)
        .for_each_concurrent(None, |one| one.work(comms))
        .await;
    Ok(count)
}

/// An event that nobody else works on before the claim runs out.
struct Claimed {
    event: UnreadyEvent,
    deadline: Instant,
    _place: SemaphorePermit<'static>,
}

/// No more than there is room for: the rest stays due.
async fn claim(comms: &Comms) -> Result<Vec<Claimed>, Failure> {
    let places: Vec<_> = std::iter::from_fn(|| AT_WORK.try_acquire().ok()).take(BATCH).collect();
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let (now, deadline) = (comms.clock.now(), Instant::now() + DEADLINE);
    let room = u32::try_from(places.len()).unwrap_or(u32::MAX);
    let due = comms.store.claim_unready_events(room, now, now + CLAIM).await;
    let due = due.map_err(store_failure)?;
    let claimed = due.into_iter().zip(places).map(|(event, place)| Claimed {
        event,
        deadline,
        _place: place,
    });
    Ok(claimed.collect())
}

impl Claimed {
    async fn work(self, comms: &Comms) {
        let id = self.event.id.clone();
        if let Err(failure) = complete(comms, self.event, self.deadline).await {
            tracing::warn!(%failure, event = id, "an event can't be completed yet");
        }
    }
}

async fn complete(comms: &Comms, mut event: UnreadyEvent, deadline: Instant) -> Result<(), Failure> {
    let content = event
        .content
        .as_deref()
        .and_then(|sealed| Content::open(comms, &event.org(), &event.id, sealed));
    let Some(mut content) = content else {
        return finish(comms, &event, None).await;
    };
    let carrier = event.data["provider"]
        .as_str()
        .and_then(|id| comms.carriers.find_webhooks(id));
    let Some((_, webhooks)) = carrier else {
        // It has been taken out of the settings; what it kept can't be asked for any more.
        return finish(comms, &event, None).await;
    };
    if content.message.incomplete {
        let patience = (event.created_at + PATIENCE_FOR_TEXT - comms.clock.now()).max(SOONEST);
        let patience = patience.to_std().unwrap_or(FETCH).min(FETCH);
        match timeout(patience, webhooks.complete(content.message.clone())).await {
            Ok(Ok(message)) => {
                content.message = message;
                content.message.incomplete = false;
                mark(comms, &mut event, false).await?;
            }
            Ok(Err(LookupFailed::NotThere)) => {
                tracing::error!(
                    event = event.id,
                    "the text of a message is not there; it goes out without"
                );
                mark(comms, &mut event, true).await?;
            }
            Ok(Err(LookupFailed::NoAnswer)) | Err(_) => {
                if comms.clock.now() - event.created_at < PATIENCE_FOR_TEXT {
                    return put_off(comms, &event, None).await;
                }
                tracing::warn!(event = event.id, "the text of a message is late; it goes out without");
                return late::release(comms, &event).await;
            }
        }
    }
    let age = comms.clock.now() - event.created_at;
    let is_last_try = age >= PATIENCE_FOR_ATTACHMENTS;
    content.links = attachments(comms, &event, webhooks.as_ref(), &content, (deadline, is_last_try)).await;
    let sealed = content.seal(comms, &event.org(), &event.id);
    if content.links.iter().any(is_pending) {
        // What is there already is not fetched again.
        return put_off(comms, &event, Some(&sealed)).await;
    }
    finish(comms, &event, Some(&sealed)).await
}

/// Says in the event whether its text is missing.
async fn mark(comms: &Comms, event: &mut UnreadyEvent, is_incomplete: bool) -> Result<(), Failure> {
    const KEY: &str = "incomplete";
    let Some(data) = event.data.as_object_mut() else {
        return Ok(());
    };
    if data.contains_key(KEY) == is_incomplete {
        return Ok(());
    }
    if is_incomplete {
        data.insert(KEY.into(), json!(true));
    } else {
        data.remove(KEY);
    }
    let marked = comms
        .store
        .set_unready_data(&event.agent(), event.seq, &event.data)
        .await;
    marked.map(drop).map_err(store_failure)
}

/// Another try later, with what there is by now.
async fn put_off(comms: &Comms, event: &UnreadyEvent, sealed: Option<&[u8]>) -> Result<(), Failure> {
    let now = comms.clock.now();
    let again = now + ((now - event.created_at) / 2).clamp(SOONEST, LATEST);
    let agent = event.agent();
    let kept = comms.store.put_off_unready_event(&agent, event.seq, sealed, again);
    kept.await.map(drop).map_err(store_failure)
}

async fn finish(comms: &Comms, event: &UnreadyEvent, sealed: Option<&[u8]>) -> Result<(), Failure> {
    let now = comms.clock.now();
    comms
        .store
        .complete_event(&event.agent(), event.seq, sealed, now)
        .await
        .map_err(store_failure)?;
    tell(comms, event.agent()).await;
    Ok(())
}

/// There is something new in the agent's log.
async fn tell(comms: &Comms, agent: AgentId) {
    let subject = butt_dial_domain::subjects::agent_events(&agent);
    if let Err(error) = comms.bus.publish(&subject, Default::default(), Bytes::new()).await {
        tracing::debug!(%error, "who waits for events has to look by itself");
    }
    ladder::wake(comms, agent);
}

/// What is said of an attachment that is still to be fetched, where an event is looked at before it is complete.
const PENDING: &str = "not fetched yet";

fn is_pending(link: &StoredAttachment) -> bool {
    link.error.as_deref() == Some(PENDING)
}

/// A link for each attachment, in their order. Those that an earlier try has fetched stay as they are.
async fn attachments(
    comms: &Comms,
    event: &UnreadyEvent,
    webhooks: &dyn Webhooks,
    content: &Content,
    (deadline, is_last_try): (Instant, bool),
) -> Vec<StoredAttachment> {
    let mut links = Vec::with_capacity(content.message.attachments.len());
    let mut missing_ones = Vec::new();
    for (number, attachment) in content.message.attachments.iter().enumerate() {
        match content.links.get(number).filter(|link| !is_pending(link)) {
            Some(link) => links.push(link.clone()),
            None if number >= MAX_ATTACHMENTS => links.push(missing(attachment, "too many attachments in one message")),
            None => {
                links.push(missing(attachment, PENDING));
                let storing = timeout_at(deadline, store(comms, event, webhooks, number, attachment));
                missing_ones.push(storing.map(move |stored| (number, stored)).boxed());
            }
        }
    }
    let mut stored = futures::stream::iter(missing_ones).buffer_unordered(FETCHED_TOGETHER);
    while let Some((number, stored)) = stored.next().await {
        match stored.unwrap_or(Err(Unfetched::ForNow("took too long"))) {
            Ok(stored) => links[number] = stored,
            Err(Unfetched::ForNow(error)) if !is_last_try => {
                tracing::debug!(event = event.id, error, "an attachment is not there yet");
            }
            Err(Unfetched::ForNow(error) | Unfetched::ForGood(error)) => {
                tracing::warn!(event = event.id, error, "an attachment is not there");
                links[number].error = Some(error.to_owned());
            }
        }
    }
    links
}

async fn store(
    comms: &Comms,
    event: &UnreadyEvent,
    webhooks: &dyn Webhooks,
    number: usize,
    attachment: &Attachment,
) -> Result<StoredAttachment, Unfetched> {
    // Never closed, so the error has no case.
    let _permit = IN_MEMORY.acquire().await;
    let fetched = fetch(comms, webhooks, attachment).await?;
    keep(comms, event, number, attachment, fetched).await
}

async fn fetch(comms: &Comms, webhooks: &dyn Webhooks, attachment: &Attachment) -> Result<Fetched, Unfetched> {
    if attachment.size.is_some_and(|size| size > MAX_ATTACHMENT as u64) {
        return Err(Unfetched::ForGood("too large"));
    }
    if comms.blobs.is_none() {
        return Err(Unfetched::ForGood("no storage for attachments is set up (BLOB_URL)"));
    }
    let request = webhooks.media(attachment).await.map_err(|failed| match failed {
        LookupFailed::NotThere => Unfetched::ForGood("the carrier does not have it any more"),
        LookupFailed::NoAnswer => Unfetched::ForNow("the carrier does not answer"),
    })?;
    let limits = Limits {
        size: MAX_ATTACHMENT,
        deadline: FETCH,
    };
    download(&comms.carrier_http, &comms.egress, request, limits).await
}

async fn keep(
    comms: &Comms,
    event: &UnreadyEvent,
    number: usize,
    attachment: &Attachment,
    fetched: Fetched,
) -> Result<StoredAttachment, Unfetched> {
    let Some(blobs) = &comms.blobs else {
        return Err(Unfetched::ForGood("no storage for attachments is set up (BLOB_URL)"));
    };
    let content_type = fetched
        .content_type
        .or_else(|| attachment.content_type.clone())
        .unwrap_or_else(|| "application/octet-stream".to_owned());
    let size = fetched.bytes.len() as u64;
    let key = blobs::key(event.created_at, &event.org(), &event.id, number);
    let blob = Blob {
        meta: Meta {
            content_type: content_type.clone(),
            filename: attachment.filename.clone(),
        },
        bytes: fetched.bytes,
    };
    if let Err(error) = blobs.put(&comms.vault, &event.org(), &key, &blob).await {
        tracing::warn!(error, "an attachment can't be stored");
        return Err(Unfetched::ForNow("could not be stored"));
    }
    Ok(StoredAttachment {
        url: link::make(comms, &event.org(), &key),
        content_type,
        filename: attachment.filename.clone(),
        size: Some(size),
        error: None,
    })
}

fn missing(attachment: &Attachment, error: &str) -> StoredAttachment {
    StoredAttachment {
        url: None,
        content_type: attachment
            .content_type
            .clone()
            .unwrap_or_else(|| "application/octet-stream".to_owned()),
        filename: attachment.filename.clone(),
        size: attachment.size,
        error: Some(error.to_owned()),
    }
}
