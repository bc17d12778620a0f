//! How far the sealer is behind, for the metrics.

use butt_dial_domain::Failure;
use chrono::TimeDelta;

use crate::Audit;

impl Audit {
    /// Returns the age of the oldest entry without a place in a log. Zero: all have one.
    pub async fn lag(&self) -> Result<TimeDelta, Failure> {
        let change = self.store.find_oldest_unsealed().await?;
        let send = self.store.find_oldest_unsealed_send().await?;
        let oldest = [change, send].into_iter().flatten().min();
        Ok(oldest.map_or(TimeDelta::zero(), |at| self.clock.now() - at))
    }
}
