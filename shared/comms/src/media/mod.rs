//! What people send beside words: fetched from the carrier, kept encrypted, and given to the agent as a link that expires.
//! An event waits until that is done, or until it is clear that it can't be.

mod blobs;
mod download;
mod link;

use std::time::Duration;

use butt_dial_domain::{Failure, inbound::Attachment, ports::webhook::Webhooks};
use butt_dial_store::UnreadyEvent;
use bytes::Bytes;
use chrono::TimeDelta;
use futures::StreamExt;

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

/// Bytes of one attachment. MMS and WhatsApp stay below; e-mail may not.
const MAX_ATTACHMENT: usize = 25 * 1024 * 1024;
/// For one attachment, with its redirects.
const FETCH: Duration = Duration::from_secs(20);
const BATCH: u32 = 16;
const AT_ONCE: usize = 8;
/// Longer than all fetches of one event may take.
const CLAIM: TimeDelta = TimeDelta::seconds(45);
/// How long an event waits for its attachments; then it goes out and says what is missing.
const PATIENCE_FOR_ATTACHMENTS: TimeDelta = TimeDelta::minutes(3);
/// How long a message waits for its text. The carrier keeps it, and a mail without text is of little use.
const PATIENCE_FOR_TEXT: TimeDelta = TimeDelta::hours(2);

/// Looks at once what there is to fetch.
pub fn begin(comms: &Comms) {
    let working = comms.clone();
    comms.tasks.spawn(async move {
        if let Err(failure) = sweep(&working).await {
            tracing::warn!(%failure, "attachments can't be fetched yet");
        }
    });
}

/// Fetches what is due. Returns how many events it looked at.
pub async fn sweep(comms: &Comms) -> Result<usize, Failure> {
    let now = comms.clock.now();
    let due = comms
        .store
        .claim_unready_events(BATCH, now, now + CLAIM)
        .await
        .map_err(store_failure)?;
    let count = due.len();
    futures::stream::iter(due)
        .for_each_concurrent(AT_ONCE, |event| async move {
            if let Err(failure) = complete(comms, &event).await {
                tracing::warn!(%failure, event = event.id, "an event can't be completed yet");
            }
        })
        .await;
    Ok(count)
}

async fn complete(comms: &Comms, event: &UnreadyEvent) -> Result<(), Failure> {
    let content = event
        .content
        .as_deref()
        .and_then(|sealed| Content::open(comms, &event.org(), &event.id, sealed));
    let Some(mut content) = content else {
        return finish(comms, event, None).await;
    };
    let age = comms.clock.now() - event.created_at;
    let carrier = event.data["provider"]
        .as_str()
        .and_then(|id| comms.carriers.find_webhooks(id));
    let Some((_, webhooks)) = carrier else {
        // It has been taken out of the settings; what it kept can't be asked for any more.
        return finish(comms, event, None).await;
    };
    if content.message.incomplete {
        match webhooks.complete(content.message.clone()).await {
            Ok(message) => {
                content.message = message;
                content.message.incomplete = false;
            }
            // Looked at again when the claim has run out.
            Err(_) if age < PATIENCE_FOR_TEXT => return Ok(()),
            Err(_) => tracing::error!(
                event = event.id,
                "the text of a message could not be fetched; it goes out without"
            ),
        }
    }
    let mut links = Vec::with_capacity(content.message.attachments.len());
    for (number, attachment) in content.message.attachments.iter().enumerate() {
        let stored = match fetch(comms, webhooks.as_ref(), attachment).await {
            Ok(fetched) => keep(comms, event, number, attachment, fetched).await,
            Err(error) => Err(error),
        };
        match stored {
            Ok(stored) => links.push(stored),
            Err(Unfetched::ForNow(_)) if age < PATIENCE_FOR_ATTACHMENTS => return Ok(()),
            Err(Unfetched::ForNow(error) | Unfetched::ForGood(error)) => {
                tracing::warn!(event = event.id, error, "an attachment is not there");
                links.push(missing(attachment, error));
            }
        }
    }
    content.links = links;
    let sealed = content.seal(comms, &event.org(), &event.id);
    finish(comms, event, Some(&sealed)).await
}

async fn finish(comms: &Comms, event: &UnreadyEvent, sealed: Option<&[u8]>) -> Result<(), Failure> {
    let now = comms.clock.now();
    comms
        .store
        .complete_event(&event.agent(), event.seq, sealed, now)
        .await
        .map_err(store_failure)?;
    let subject = butt_dial_domain::subjects::agent_events(&event.agent());
    if let Err(error) = comms.bus.publish(&subject, Default::default(), Bytes::new()).await {
        tracing::debug!(%error, "who waits for events has to look by itself");
    }
    ladder::wake(comms, event.agent());
    Ok(())
}

async fn fetch(comms: &Comms, webhooks: &dyn Webhooks, attachment: &Attachment) -> Result<Fetched, Unfetched> {
    if attachment.size.is_some_and(|size| size > MAX_ATTACHMENT as u64) {
        return Err(Unfetched::ForGood("too large"));
    }
    if comms.blobs.is_none() {
        return Err(Unfetched::ForGood("no storage for attachments is set up (BLOB_URL)"));
    }
    let request = webhooks
        .media(attachment)
        .await
        .map_err(|_| Unfetched::ForNow("the carrier does not answer"))?;
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
