//! Deletes entries of the durable stream that were applied, before their age limit. Must never delete an unread entry: it deletes
//! only below the position of each partition in the database.

use butt_dial_domain::{
    Failure,
    clock::Timestamp,
    ports::bus::{Bus, BusError},
};
use butt_dial_store::Store;

use super::{Inbound, Partition, Partitions, STREAM};

impl Inbound {
    /// Deletes applied entries that are older than the operator wants to keep. Returns how many. Several processes may do so at
    /// the same time.
    pub async fn discard_read(&self) -> Result<usize, Failure> {
        let Some(keep) = self.keep_read else { return Ok(0) };
        discard_read(&*self.bus, &self.store, self.partitions, self.clock.now() - keep).await
    }
}

/// Deletes entries that were applied and appended before this time. The last applied entry of each partition stays: the reader
/// compares it with the database.
pub async fn discard_read(
    bus: &dyn Bus,
    store: &Store,
    partitions: Partitions,
    before: Timestamp,
) -> Result<usize, Failure> {
    let unavailable = |error: BusError| {
        tracing::warn!(%error, "applied entries not discarded");
        Failure::unavailable("the bus is not available")
    };
    let old = bus.position_before(STREAM.name, before).await.map_err(unavailable)?;
    let mut discarded = 0;
    for Partition { name, subject, .. } in partitions.all().into_iter().chain(partitions.former()) {
        let applied = store.find_log_position(&name).await?;
        let end = applied.min(old);
        if end > 1 {
            let count = bus.discard(STREAM.name, &subject, end).await.map_err(unavailable)?;
            discarded += usize::try_from(count).unwrap_or(usize::MAX);
        }
    }
    if discarded > 0 {
        tracing::info!(discarded, "applied entries of the inbound stream discarded");
    }
    Ok(discarded)
}
