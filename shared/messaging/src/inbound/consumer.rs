//! The consumer of the durable stream: applies webhook events in order. One process consumes at a time, by a lease. If two
//! believe that they hold it, the position in the database lets only one of them write.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    keys,
    ports::{
        bus::{BusError, LogEntry, LogPosition, LogReader},
        kv::Lease,
    },
    subjects,
};
use butt_dial_store::{AppliedEntry, DeadLetterReason, StoreError};
use tokio_util::sync::CancellationToken;

use super::{
    Inbound, STREAM,
    apply::{AppliedBatch, Applier},
    dead_letter::dead_letter,
};

/// Entries of one transaction.
const BATCH: usize = 256;
/// Bytes of entries in one transaction. Larger ones may exceed the timeout of a database call.
const MAX_PART_BYTES: usize = 4 * 1024 * 1024;
/// Consecutive timeouts of an answering database before several entries are applied in smaller parts.
const MAX_BATCH_TIMEOUTS: u32 = 2;
/// How long an idle consumer waits before it checks its lease.
const POLL_TIMEOUT: Duration = Duration::from_secs(2);
/// After this time a crashed consumer is replaced.
const LEASE: Duration = Duration::from_secs(6);
/// Covers the time from the append of an entry until it is applied, and differences of clocks.
const STEP_BACK: chrono::TimeDelta = chrono::TimeDelta::minutes(10);
/// The delay after a failure.
const RETRY_INTERVAL: Duration = Duration::from_millis(300);

impl Inbound {
    /// Consumes the stream until `end`.
    pub async fn consume(self: &Arc<Self>, end: &CancellationToken) {
        let consumer = Consumer {
            applier: Applier::new(self.clone()),
            inbound: self.clone(),
            end: end.clone(),
        };
        consumer.run().await;
    }
}

/// The process that consumes the stream.
enum Turn {
    /// This process. Without a lease if the key-value store is unavailable: then the position in the database decides.
    Own(Option<Lease>),
    Other,
}

struct Consumer {
    inbound: Arc<Inbound>,
    applier: Applier,
    end: CancellationToken,
}

impl Consumer {
    async fn run(&self) {
        while !self.end.is_cancelled() {
            if let Turn::Own(lease) = self.acquire_turn().await {
                self.consume(lease.as_ref()).await;
                if let Some(lease) = lease
                    && let Err(error) = self.inbound.kv.release(&lease).await
                {
                    tracing::debug!(%error, "consumer lease not released; it expires");
                }
            }
            self.pause().await;
        }
    }

    /// Waits before the next attempt. Returns false if the consumer ends.
    async fn pause(&self) -> bool {
        let sleep = tokio::time::sleep(RETRY_INTERVAL);
        self.end.run_until_cancelled(sleep).await.is_some()
    }

    async fn acquire_turn(&self) -> Turn {
        let key = keys::reader(STREAM.name);
        match self
            .inbound
            .kv
            .acquire(&key, self.inbound.replica.as_str(), LEASE)
            .await
        {
            Ok(Some(lease)) => Turn::Own(Some(lease)),
            Ok(None) => Turn::Other,
            Err(error) => {
                tracing::warn!(%error, "consumer lease unavailable; consuming without it");
                Turn::Own(None)
            }
        }
    }

    /// Consumes until the turn is lost, an operation fails, or the consumer ends.
    async fn consume(&self, lease: Option<&Lease>) {
        let (mut position, mut reader) = match self.open_log().await {
            Ok(opened) => opened,
            Err(error) => return tracing::warn!(error, "inbound stream not opened"),
        };
        let mut renewed_at = tokio::time::Instant::now();
        while let Some(batch) = self.end.run_until_cancelled(read_batch(&mut *reader)).await {
            let Some(batch) = batch else { return };
            if !batch.is_empty() {
                if !self.apply(position, split(&batch)).await {
                    return;
                }
                position = batch.last().map_or(position, |entry| entry.sequence);
            }
            if let Some(lease) = lease
                && renewed_at.elapsed() > LEASE / 3
            {
                // An error is no loss: a new consumer is noticed from the position.
                if matches!(self.inbound.kv.renew(lease, LEASE).await, Ok(false)) {
                    return;
                }
                renewed_at = tokio::time::Instant::now();
            }
        }
    }

    async fn open_log(&self) -> Result<(u64, Box<dyn LogReader>), String> {
        let store = &self.inbound.store;
        let applied = store.find_applied_entry(STREAM.name).await;
        let applied = applied.map_err(|error| error.to_string())?;
        let after = LogPosition {
            sequence: applied.position,
            id: applied.id.clone(),
        };
        let opened = self.inbound.bus.read_log_after(STREAM.name, subjects::INBOUND, after);
        match opened.await {
            Ok(reader) => Ok((applied.position, reader)),
            Err(error @ (BusError::PositionPastEnd { .. } | BusError::OtherEntry { .. })) => {
                tracing::error!(%error, "inbound stream lost entries; stepping back");
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
        let moved = store.skip_log_entry(STREAM.name, applied.position, position).await;
        moved.map(drop).map_err(|error| error.to_string())
    }

    /// Applies parts one after the other, so that the order is kept. Returns false if another process consumes.
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
    /// that may pass. Only an entry with invalid data becomes a dead letter. Returns false if another process consumes.
    async fn apply_part(&self, after: u64, part: &[LogEntry]) -> bool {
        let metrics = &self.inbound.metrics;
        let started = std::time::Instant::now();
        let mut timeouts = 0;
        loop {
            match self.applier.apply(after, part).await {
                Ok(applied) => {
                    metrics.record_inbound_batch(part.len(), started.elapsed());
                    metrics.set_inbound_blocked(Duration::ZERO);
                    self.notify(applied).await;
                    return true;
                }
                Err(StoreError::Conflict) => {
                    tracing::info!(after, "another process consumes the inbound stream");
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
                    metrics.set_inbound_blocked(started.elapsed());
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
            .skip_as_dead_letter(STREAM.name, after, entry.sequence, &letter, now)
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
    use butt_dial_domain::ports::bus::{Headers, Message};

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
