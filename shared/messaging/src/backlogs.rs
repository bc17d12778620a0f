//! The work that waits in the database: how much, for the metrics, and which kinds are due, for the sweeps.

use std::collections::HashSet;

use butt_dial_domain::{Clock, Failure};
pub use butt_dial_store::DueKind;
use butt_dial_store::Store;

use crate::Metrics;

/// Reads the backlogs of the installation. Cheap to clone.
#[derive(Clone)]
pub struct Backlogs {
    store: Store,
    clock: Clock,
    metrics: Metrics,
}

impl Backlogs {
    pub fn new(store: Store, clock: Clock, metrics: Metrics) -> Self {
        Self { store, clock, metrics }
    }

    /// Sets the metrics. Returns how much work waits, in all.
    pub async fn measure(&self) -> Result<usize, Failure> {
        let now = self.clock.now();
        let mut total = 0;
        for backlog in self.store.measure_backlogs(now).await? {
            let Some(kind) = backlog.kind() else {
                continue;
            };
            // The clocks of replicas differ, so a date may be in the future.
            let age = backlog.oldest.and_then(|oldest| (now - oldest).to_std().ok());
            self.metrics.set_backlog(kind, backlog.count, age.unwrap_or_default());
            total += usize::try_from(backlog.count).unwrap_or(0);
        }
        Ok(total)
    }

    /// Lists the kinds of work that are due.
    pub async fn list_due(&self) -> Result<HashSet<DueKind>, Failure> {
        Ok(self.store.list_due_work(self.clock.now()).await?)
    }
}
