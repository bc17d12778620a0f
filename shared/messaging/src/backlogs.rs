//! Measures the work that waits in the database, for the metrics.

use butt_dial_domain::{Clock, Failure};
use butt_dial_store::Store;

use crate::Metrics;

/// Measures the backlogs of the installation. Cheap to clone.
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
}
