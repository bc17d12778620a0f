//! Retention: purges contents of events and attachments after the operator's retention time, contents of delivered events shortly
//! after delivery, and the rows of tables that grow after their own times. A legal hold on an organization keeps everything of it; one
//! on a person keeps what is about the person.

use std::time::Duration;

use butt_dial_domain::{Clock, Failure, clock::Timestamp};
use butt_dial_store::{AgentRows, Store, StoreError, TimedRows};
use chrono::{NaiveDate, TimeDelta};

use crate::media::Blobs;

/// A delivered event keeps its content this long, so that another waiting reader of the same agent can still read it.
const DELIVERED_GRACE: TimeDelta = TimeDelta::seconds(10);

/// One-time codes expire within minutes; a day later nothing asks for them.
const CHALLENGES: Duration = Duration::from_secs(24 * 3_600);

/// Requests to callbacks are for finding faults of hosts.
const CALLBACK_ATTEMPTS: Duration = Duration::from_secs(14 * 24 * 3_600);

/// Events with attachments that are compared with holds together.
const EVENTS: usize = 500;

/// How long rows are kept. `None`: for ever.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeepTimes {
    pub messages: Option<Duration>,
    pub attempts: Option<Duration>,
    pub events: Option<Duration>,
    pub calls: Option<Duration>,
    pub audit: Option<Duration>,
}

/// Purges contents that are past their retention. Cheap to clone.
#[derive(Clone)]
pub struct Retention {
    store: Store,
    blobs: Option<Blobs>,
    clock: Clock,
    event_retention: Duration,
    keep: KeepTimes,
}

impl Retention {
    pub fn new(store: Store, blobs: Option<Blobs>, clock: Clock, event_retention: Duration, keep: KeepTimes) -> Self {
        Self {
            store,
            blobs,
            clock,
            event_retention,
            keep,
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
        let kept = self.store.purge_kept_texts(self.clock.now()).await?;
        let blobs = match &self.blobs {
            Some(blobs) => self.purge_blobs(blobs, before.date_naive()).await?,
            None => 0,
        };
        let contents = contents.saturating_add(fallbacks).saturating_add(kept);
        Ok(usize::try_from(contents).unwrap_or(usize::MAX).saturating_add(blobs))
    }

    /// Purges the attachments of days before `day`. Returns how many.
    async fn purge_blobs(&self, blobs: &Blobs, day: NaiveDate) -> Result<usize, Failure> {
        let failed = |error: String| {
            tracing::warn!(error, "attachment purge failed");
            Failure::unavailable("the storage of attachments does not answer")
        };
        let held = self.store.list_held_organizations().await?;
        let mut count = blobs.purge_before(day, &held).await.map_err(failed)?;
        for org in self.store.list_person_holds().await?.organizations() {
            let events = blobs.list_events_before(day, org).await.map_err(failed)?;
            for page in events.chunks(EVENTS) {
                let ids: Vec<String> = page.iter().map(|(_, id)| id.clone()).collect();
                // Again for each page: a hold can be put while attachments are purged.
                let holds = self.store.list_person_holds().await?;
                let free = self.store.find_free_events(&holds, org, &ids).await?;
                for (of, event) in page.iter().filter(|(_, id)| free.contains(id)) {
                    count += blobs.purge_event_of(*of, org, event).await.map_err(failed)?;
                }
            }
        }
        Ok(count)
    }

    /// Deletes rows that are older than the times of their kinds. Returns how many. A failure of one kind does not keep the others:
    /// the next run repeats it.
    pub async fn delete_old_rows(&self) -> Result<usize, Failure> {
        let keep = &self.keep;
        let mut deleted: u64 = 0;
        let mut failure = None;
        let mut note = |kind: &'static str, result: Option<Result<u64, StoreError>>| match result {
            Some(Ok(count)) => deleted = deleted.saturating_add(count),
            Some(Err(error)) => {
                tracing::warn!(%error, kind, "old rows not deleted");
                failure = Some(Failure::from(error));
            }
            None => {}
        };
        for (kind, rows, time) in [
            ("attempts", TimedRows::Attempts, keep.attempts),
            ("messages", TimedRows::Messages, keep.messages),
            ("scheduled sends", TimedRows::ScheduledSends, keep.messages),
            ("audit entries", TimedRows::AuditEntries, keep.audit),
            ("refusals", TimedRows::Refusals, keep.messages),
            ("challenges", TimedRows::Challenges, Some(CHALLENGES)),
            (
                "callback attempts",
                TimedRows::CallbackAttempts,
                Some(CALLBACK_ATTEMPTS),
            ),
            ("anomalies", TimedRows::Anomalies, keep.audit),
            ("campaigns", TimedRows::Campaigns, keep.audit),
        ] {
            note(kind, self.delete_timed(rows, time).await);
        }
        for (kind, rows, time) in [
            ("events", AgentRows::Events, keep.events),
            ("calls", AgentRows::Calls, keep.calls),
        ] {
            note(kind, self.delete_of_agents(rows, time).await);
        }
        match failure {
            Some(failure) => Err(failure),
            None => Ok(usize::try_from(deleted).unwrap_or(usize::MAX)),
        }
    }

    async fn delete_timed(&self, rows: TimedRows, time: Option<Duration>) -> Option<Result<u64, StoreError>> {
        Some(self.store.delete_timed(rows, self.begin_of(time)?).await)
    }

    async fn delete_of_agents(&self, rows: AgentRows, time: Option<Duration>) -> Option<Result<u64, StoreError>> {
        Some(self.store.delete_of_agents(rows, self.begin_of(time)?).await)
    }

    fn begin_of(&self, time: Option<Duration>) -> Option<Timestamp> {
        Some(self.clock.now() - TimeDelta::from_std(time?).ok()?)
    }
}
