//! The attachments of an event: fetched from the carrier, stored, and replaced by links.

use butt_dial_domain::{
    inbound::Attachment,
    ports::{carrier::LookupError, webhook::Webhooks},
};
use butt_dial_store::IncompleteEvent;
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::{
    Blob, BlobMeta, Media, blobs,
    download::{DownloadLimits, FETCH_TIMEOUT, FetchError, Fetched, download},
};
use crate::{EventContent, StoredAttachment};

/// Bytes of one attachment. MMS and WhatsApp stay below; e-mail may not.
const MAX_ATTACHMENT_BYTES: usize = 25 * 1024 * 1024;
/// Attachments of one message. Further ones are listed, not fetched.
pub(super) const MAX_ATTACHMENTS: usize = 20;
/// Concurrent fetches for one message.
const CONCURRENCY: usize = 4;
const NO_STORAGE: &str = "no storage for attachments is set up (BLOB_URL)";
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// The error of an attachment that is still to be fetched, if an event is read before it is complete.
const PENDING: &str = "not fetched yet";

/// Returns whether the attachment is still to be fetched.
pub(super) fn is_pending(link: &StoredAttachment) -> bool {
    link.error.as_deref() == Some(PENDING)
}

/// Returns a link for each attachment, in their order. Links of an earlier attempt are kept.
pub(super) async fn fetch_attachments(
    media: &Media,
    event: &IncompleteEvent,
    webhooks: &dyn Webhooks,
    content: &EventContent,
    deadline: Instant,
    is_last_attempt: bool,
) -> Vec<StoredAttachment> {
    let mut links = Vec::with_capacity(content.message.attachments.len());
    let mut fetches = Vec::new();
    for (number, attachment) in content.message.attachments.iter().enumerate() {
        match content.links.get(number).filter(|link| !is_pending(link)) {
            Some(link) => links.push(link.clone()),
            None if number >= MAX_ATTACHMENTS => {
                links.push(missing(attachment, "too many attachments in one message"));
            }
            None => {
                links.push(missing(attachment, PENDING));
                let fetch = timeout_at(deadline, fetch_and_store(media, event, webhooks, number, attachment));
                fetches.push(fetch.map(move |stored| (number, stored)).boxed());
            }
        }
    }
    let mut stored = futures::stream::iter(fetches).buffer_unordered(CONCURRENCY);
    while let Some((number, stored)) = stored.next().await {
        match stored.unwrap_or(Err(FetchError::Temporary("took too long"))) {
            Ok(stored) => links[number] = stored,
            Err(FetchError::Temporary(error)) if !is_last_attempt => {
                tracing::debug!(event = event.id, error, "attachment not fetched yet");
            }
            Err(FetchError::Temporary(error) | FetchError::Permanent(error)) => {
                tracing::warn!(event = event.id, error, "attachment not fetched");
                links[number].error = Some(error.to_owned());
            }
        }
    }
    links
}

async fn fetch_and_store(
    media: &Media,
    event: &IncompleteEvent,
    webhooks: &dyn Webhooks,
    number: usize,
    attachment: &Attachment,
) -> Result<StoredAttachment, FetchError> {
    // The semaphore is never closed, so acquiring cannot fail.
    let _permit = media.memory_permits.acquire().await;
    let fetched = fetch(media, webhooks, attachment).await?;
    store(media, event, number, attachment, fetched).await
}

async fn fetch(media: &Media, webhooks: &dyn Webhooks, attachment: &Attachment) -> Result<Fetched, FetchError> {
    if attachment.size.is_some_and(|size| size > MAX_ATTACHMENT_BYTES as u64) {
        return Err(FetchError::Permanent("too large"));
    }
    if media.blobs.is_none() {
        return Err(FetchError::Permanent(NO_STORAGE));
    }
    let request = webhooks.media(attachment).await.map_err(|error| match error {
        LookupError::NotFound => FetchError::Permanent("the carrier does not have it any more"),
        LookupError::NoResponse => FetchError::Temporary("the carrier does not answer"),
    })?;
    let limits = DownloadLimits {
        bytes: MAX_ATTACHMENT_BYTES,
        timeout: FETCH_TIMEOUT,
    };
    download(&media.carrier_http, &media.egress, request, limits).await
}

async fn store(
    media: &Media,
    event: &IncompleteEvent,
    number: usize,
    attachment: &Attachment,
    fetched: Fetched,
) -> Result<StoredAttachment, FetchError> {
    let Some(blobs) = &media.blobs else {
        return Err(FetchError::Permanent(NO_STORAGE));
    };
    let content_type = fetched
        .content_type
        .or_else(|| attachment.content_type.clone())
        .unwrap_or_else(|| UNKNOWN_TYPE.to_owned());
    let size = fetched.bytes.len() as u64;
    let key = blobs::key(event.created_at, &event.org(), &event.id, number);
    let blob = Blob {
        meta: BlobMeta {
            content_type: content_type.clone(),
            filename: attachment.filename.clone(),
        },
        bytes: fetched.bytes,
    };
    if let Err(error) = blobs.put(&media.vault, &event.org(), &key, &blob).await {
        tracing::warn!(error, "attachment not stored");
        return Err(FetchError::Temporary("could not be stored"));
    }
    Ok(StoredAttachment {
        url: media.create_link(&event.org(), &key),
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
            .unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
        filename: attachment.filename.clone(),
        size: attachment.size,
        error: Some(error.to_owned()),
    }
}
