//! Retention: purges contents of events and attachments after the operator's retention time, and contents of delivered events
//! shortly after delivery.

use butt_dial_domain::{Clock, Failure};
use butt_dial_store::Store;
use chrono::TimeDelta;
use std::time::Duration;

use crate::media::Blobs;

/// A delivered event keeps its content this long, so that another waiting reader of the same agent can still read it.
const DELIVERED_GRACE: TimeDelta = TimeDelta::seconds(10);

/// Purges contents that are past their retention. Cheap to clone.
#[derive(Clone)]
pub struct Retention {
    store: Store,
    blobs: Option<Blobs>,
    clock: Clock,
    event_retention: Duration,
}

impl Retention {
    pub fn new(store: Store, blobs: Option<Blobs>, clock: Clock, event_retention: Duration) -> Self {
        Self {
            store,
            blobs,
            clock,
            event_retention,
        }
    }

    /// Purges the contents of delivered events. Returns how many were purged.
    pub async fn purge_delivered(&self) -> Result<usize, Failure> {
        let before = self.clock.now() - DELIVERED_GRACE;
        let purged = self.store.purge_delivered(before).await?;
        Ok(usize::try_from(purged).unwrap_or(usize::MAX))
    }

    /// Purges contents and attachments that are older than the retention time. Returns how many were purged.
    pub async fn purge_expired(&self) -> Result<usize, Failure> {
        let retention = TimeDelta::from_std(self.event_retention).unwrap_or(TimeDelta::days(7));
        let before = self.clock.now() - retention;
        let contents = self.store.purge_contents(before).await?;
        let fallbacks = self.store.purge_fallbacks(before).await?;
        let blobs = match &self.blobs {
            Some(blobs) => blobs.purge_before(before.date_naive()).await.map_err(|error| {
                tracing::warn!(error, "attachment purge failed");
                Failure::unavailable("the storage of attachments does not answer")
            })?,
            None => 0,
        };
        let contents = contents.saturating_add(fallbacks);
        Ok(usize::try_from(contents).unwrap_or(usize::MAX).saturating_add(blobs))
    }
}
