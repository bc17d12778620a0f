//! The reader of a partition of the durable stream: applies webhook events in order. One process reads a partition at a time, by a
//! lease (`assignment.rs`). If two believe that they hold it, the position in the database lets only one of them write.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::ports::bus::{BusError, LogEntry, LogPosition, LogReader};
use butt_dial_store::{AppliedEntry, DeadLetterReason, StoreError};
use tokio::{
    sync::Semaphore,
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use super::{
    Inbound, STREAM,
    apply::{AppliedBatch, Applier},
    dead_letter::dead_letter,
    partitions::Partition,
};

/// Entries of one transaction.
const BATCH: usize = 256;
/// Bytes of entries in one transaction. Larger ones may exceed the timeout of a database call.
const MAX_PART_BYTES: usize = 4 * 1024 * 1024;
/// Consecutive timeouts of an answering database before several entries are applied in smaller parts.
const MAX_BATCH_TIMEOUTS: u32 = 2;
/// How long an idle reader waits for an entry.
const POLL_TIMEOUT: Duration = Duration::from_secs(2);
/// Covers the time from the append of an entry until it is applied, and differences of clocks.
const STEP_BACK: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
/// The delay after a failure.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);
/// How often the unread entries are counted while entries arrive.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// The reader of one partition.
pub(super) struct PartitionReader {
    pub inbound: Arc<Inbound>,
    pub applier: Arc<Applier>,
    pub partition: Partition,
    /// The transactions of this process at the same time.
    pub slots: Arc<Semaphore>,
    pub end: CancellationToken,
}

impl PartitionReader {
    /// Reads until an operation fails, another process reads the partition, or `end`.
    pub async fn run(&self) {
        let (mut position, mut reader) = match self.open_log().await {
            Ok(opened) => opened,
            Err(error) => return tracing::warn!(error, partition = self.partition.name, "inbound stream not opened"),
        };
        let mut counted = None;
        while let Some(batch) = self.end.run_until_cancelled(read_batch(&mut *reader)).await {
            let Some(batch) = batch else { return };
            if batch.is_empty() {
                self.record_unread(0);
                continue;
            }
            if counted.is_none_or(|at: Instant| at.elapsed() >= COUNT_INTERVAL) {
                self.count_unread(&mut *reader, batch.len()).await;
                counted = Some(Instant::now());
            }
            if !self.apply_batch(&mut *reader, position, &batch).await {
                return;
            }
            position = batch.last().map_or(position, |entry| entry.sequence);
        }
    }

    /// Applies a batch. Counts the unread entries from time to time, because this may take as long as the database is away.
    async fn apply_batch(&self, reader: &mut dyn LogReader, after: u64, batch: &[LogEntry]) -> bool {
        let applied = self.apply(after, split(batch));
        tokio::pin!(applied);
        let mut interval = tokio::time::interval_at(Instant::now() + COUNT_INTERVAL, COUNT_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                applied = &mut applied => return applied,
                _ = interval.tick() => {}
            }
            let counted = self.count_unread(reader, batch.len());
            tokio::select! {
                biased;
                applied = &mut applied => return applied,
                () = counted => {}
            }
        }
    }

    async fn count_unread(&self, reader: &mut dyn LogReader, in_progress: usize) {
        match reader.count_unread().await {
            Ok(count) => self.record_unread(count + in_progress as u64),
            Err(error) => tracing::debug!(%error, partition = self.partition.name, "unread entries not counted"),
        }
    }

    fn record_unread(&self, count: u64) {
        self.inbound.metrics.set_inbound_unread(&self.partition.label, count);
    }

    /// Waits before the next attempt. Returns false if the reader ends.
    async fn pause(&self) -> bool {
        let sleep = tokio::time::sleep(RETRY_INTERVAL);
        self.end.run_until_cancelled(sleep).await.is_some()
    }

    async fn open_log(&self) -> Result<(u64, Box<dyn LogReader>), String> {
        let store = &self.inbound.store;
        let applied = store.find_applied_entry(&self.partition.name).await;
        let applied = applied.map_err(|error| error.to_string())?;
        let after = LogPosition {
            sequence: applied.position,
            id: applied.id.clone(),
        };
        let opened = self
            .inbound
            .bus
            .read_log_after(STREAM.name, &self.partition.subject, after);
        match opened.await {
            Ok(reader) => Ok((applied.position, reader)),
            Err(error @ (BusError::PositionPastEnd { .. } | BusError::OtherEntry { .. })) => {
                tracing::error!(%error, partition = self.partition.name, "inbound stream lost entries; stepping back");
                self.inbound.metrics.record_log_step_back();
                let stepped = self.step_back(&applied).await;
                Err(stepped.err().unwrap_or_else(|| error.to_string()))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Moves the position back to where the stream was at the time of the last applied entry. Later entries are read,
    /// whatever their numbers; repeated events are recognized by their ids.
    async fn step_back(&self, applied: &AppliedEntry) -> Result<(), String> {
        let before = match applied.at {
            Some(at) => self.inbound.bus.position_before(STREAM.name, at - STEP_BACK).await,
            None => Ok(0),
        };
        let before = before.map_err(|error| error.to_string())?;
        let position = before.min(applied.position.saturating_sub(1));
        let store = &self.inbound.store;
        let moved = store
            .skip_log_entry(&self.partition.name, applied.position, position)
            .await;
        moved.map(drop).map_err(|error| error.to_string())
    }

    /// Applies parts one after the other, so that the order is kept. Returns false if another process reads the partition.
    async fn apply(&self, after: u64, parts: impl IntoIterator<Item = &[LogEntry]> + Send) -> bool {
        let mut after = after;
        for part in parts.into_iter().collect::<Vec<_>>() {
            if !Box::pin(self.apply_part(after, part)).await {
                return false;
            }
            after = part.last().map_or(after, |entry| entry.sequence);
        }
        true
    }

    /// Applies a part in one transaction, and retries without limit while the database is unavailable or fails for a reason
    /// that may pass. Only an entry with invalid data becomes a dead letter. Returns false if another process reads the partition.
    async fn apply_part(&self, after: u64, part: &[LogEntry]) -> bool {
        let metrics = &self.inbound.metrics;
        let (name, label) = (&self.partition.name, &self.partition.label);
        let started = Instant::now();
        let mut timeouts = 0;
        loop {
            let Some(slot) = self.end.run_until_cancelled(self.slots.acquire()).await else {
                return false;
            };
            let applied = self.applier.apply(name, after, part).await;
            drop(slot);
            match applied {
                Ok(applied) => {
                    metrics.record_inbound_batch(part.len(), started.elapsed());
                    metrics.set_inbound_blocked(label, Duration::ZERO);
                    self.notify(applied).await;
                    return true;
                }
                Err(StoreError::Conflict) => {
                    tracing::info!(after, partition = name, "another process reads the partition");
                    return false;
                }
                // One entry that can never be applied must not stop the others.
                Err(error) if error.is_data_error() && part.len() > 1 => {
                    tracing::error!(%error, "batch of webhook events not applied; applying one by one");
                    return self.apply(after, part.chunks(1)).await;
                }
                Err(error) if error.is_data_error() => {
                    tracing::error!(%error, after, "webhook event not applied");
                    if self.skip_as_dead_letter(after, part).await {
                        return true;
                    }
                }
                Err(error) => {
                    // A database that answers but does not finish in time will not finish the same transaction later.
                    let is_answering = self.inbound.store.check().await.is_ok();
                    timeouts = if is_answering { timeouts + 1 } else { 0 };
                    metrics.set_inbound_blocked(label, started.elapsed());
                    tracing::warn!(%error, entries = part.len(), timeouts, "webhook events not applied; retrying");
                    if part.len() > 1 && timeouts >= MAX_BATCH_TIMEOUTS {
                        return self.apply(after, part.chunks(part.len().div_ceil(2))).await;
                    }
                }
            }
            if !self.pause().await {
                return false;
            }
        }
    }

    /// Stores a single entry as a dead letter, and advances the position past it.
    async fn skip_as_dead_letter(&self, after: u64, part: &[LogEntry]) -> bool {
        let [entry] = part else { return false };
        tracing::error!(sequence = entry.sequence, "webhook event becomes a dead letter");
        let letter = dead_letter(entry, DeadLetterReason::Data);
        let (store, now) = (&self.inbound.store, self.inbound.clock.now());
        match store
            .skip_as_dead_letter(&self.partition.name, after, entry.sequence, &letter, now)
            .await
        {
            Ok(skipped) => skipped,
            Err(error) => {
                tracing::warn!(%error, "dead letter not stored");
                false
            }
        }
    }

    /// Starts what the applied events cause: call settlement, deliveries, fetches and follow-ups.
    async fn notify(&self, applied: AppliedBatch) {
        let inbound = &self.inbound;
        for call in applied.rows.to_settle {
            let calls = inbound.calls.clone();
            inbound.tasks.spawn(async move { calls.settle(&call).await });
        }
        for claim in applied.rows.claims {
            inbound.delivery.spawn_worker(claim);
        }
        for agent in applied.rows.agents {
            inbound.delivery.notify_readers(&agent).await;
        }
        if applied.has_incomplete {
            inbound.media.spawn_fetch();
        }
        if applied.rows.follow_ups > 0 {
            inbound.outbound.spawn_sweep();
        }
    }
}

async fn read_batch(reader: &mut dyn LogReader) -> Option<Vec<LogEntry>> {
    match reader.next(BATCH, POLL_TIMEOUT).await {
        Ok(batch) => Some(batch),
        Err(error) => {
            tracing::warn!(%error, "inbound stream not read");
            None
        }
    }
}

/// Splits a batch, in order, into parts of at most `MAX_PART_BYTES`. A larger entry is a separate part.
fn split(batch: &[LogEntry]) -> Vec<&[LogEntry]> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (n, entry) in batch.iter().enumerate() {
        let size = entry.message.payload.len();
        if n > start && bytes + size > MAX_PART_BYTES {
            parts.push(&batch[start..n]);
            (start, bytes) = (n, 0);
        }
        bytes += size;
    }
    if start < batch.len() {
        parts.push(&batch[start..]);
    }
    parts
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::{
        ports::bus::{Headers, Message},
        subjects,
    };

    use super::*;

    fn batch(sizes: &[usize]) -> Vec<LogEntry> {
        let entry = |(sequence, size): (u64, &usize)| LogEntry {
            sequence,
            id: String::new(),
            message: Message {
                subject: subjects::INBOUND.into(),
                headers: Headers::new(),
                payload: vec![b'x'; *size].into(),
                reply_to: None,
            },
        };
        (1..).zip(sizes).map(entry).collect()
    }

    /// Returns how many entries each part holds.
    fn split_sizes(sizes: &[usize]) -> Vec<usize> {
        let batch = batch(sizes);
        let parts = split(&batch);
        let joined: Vec<u64> = parts
            .iter()
            .flat_map(|part| part.iter().map(|one| one.sequence))
            .collect();
        let expected: Vec<u64> = batch.iter().map(|one| one.sequence).collect();
        assert_eq!(joined, expected, "every entry, in order");
        parts.iter().map(|part| part.len()).collect()
    }

    #[test]
    fn splits_batch_by_bytes() {
        assert_eq!(split_sizes(&[]), [0; 0]);
        assert_eq!(split_sizes(&[1_000; BATCH]), [BATCH], "a normal batch is not split");
        assert_eq!(split_sizes(&[MAX_PART_BYTES]), [1]);
        assert_eq!(
            split_sizes(&[MAX_PART_BYTES / 2, MAX_PART_BYTES / 2, 1]),
            [2, 1],
            "exactly full"
        );
        assert_eq!(split_sizes(&[MAX_PART_BYTES / 2, MAX_PART_BYTES / 2 + 1, 1]), [1, 2]);
        assert_eq!(
            split_sizes(&[1, MAX_PART_BYTES + 1, 1, 1]),
            [1, 1, 2],
            "one that is too large goes alone"
        );
        assert_eq!(split_sizes(&[MAX_PART_BYTES + 1, MAX_PART_BYTES + 1]), [1, 1]);
        assert_eq!(split_sizes(&[1_000_000; 10]), [4, 4, 2]);
    }
}
