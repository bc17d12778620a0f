//! Forgetting: what people said is not kept longer than the operator wants, whether or not their agent ever came for it.

use butt_dial_domain::Failure;
use chrono::TimeDelta;

use crate::{Comms, store_failure};

/// How long whoever waits for events has to read one that somebody else of the same agent got a moment before.
const LINGERING: TimeDelta = TimeDelta::seconds(10);

/// Forgets what agents have. Returns how much.
pub async fn forget_delivered(comms: &Comms) -> Result<usize, Failure> {
    let before = comms.clock.now() - LINGERING;
    let forgotten = comms.store.forget_delivered(before).await.map_err(store_failure)?;
    Ok(usize::try_from(forgotten).unwrap_or(usize::MAX))
}

/// Forgets what agents never came for. Returns how much was forgotten.
pub async fn sweep(comms: &Comms) -> Result<usize, Failure> {
    let retention = TimeDelta::from_std(comms.settings.event_retention).unwrap_or(TimeDelta::days(7));
    let before = comms.clock.now() - retention;
    let contents = comms.store.purge_contents(before).await.map_err(store_failure)?;
    let fallbacks = comms.store.purge_fallbacks(before).await.map_err(store_failure)?;
    let blobs = match &comms.blobs {
        Some(blobs) => blobs.forget_before(before.date_naive()).await.map_err(|error| {
            tracing::warn!(error, "old attachments can't be removed yet");
            Failure::unavailable("the storage of attachments does not answer")
        })?,
        None => 0,
    };
    let contents = contents.saturating_add(fallbacks);
    Ok(usize::try_from(contents).unwrap_or(usize::MAX).saturating_add(blobs))
}
