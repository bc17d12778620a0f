//! Which partitions this process reads. The processes that read share the partitions evenly: each counts the living ones by their
//! heartbeats, acquires leases up to its share, and gives up what exceeds it. A process that stops releases its leases; the leases
//! of one that dies expire.
//!
//! Leases only save work: the position of a partition in the database lets one process write. Without the key-value store, which
//! holds the leases, each process reads all partitions.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use butt_dial_domain::{
    keys,
    ports::kv::{KvError, Lease},
};
use futures::future::join_all;
use tokio::{
    sync::Semaphore,
    task::{Id, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{Inbound, STREAM, apply::Applier, consumer::PartitionReader, partitions::Partition};

/// How often the heartbeat is written, the leases are renewed, and the shares are balanced.
const BALANCE_INTERVAL: Duration = Duration::from_secs(1);
/// After this time without a renewal, other processes read the partitions. Together with the time until that is noticed and the
/// partition is opened, less than 6 s.
const LEASE: Duration = Duration::from_secs(4);
/// How long the set of readers is kept, in which each reader stays as long as it has a heartbeat.
const READERS_TTL: Duration = Duration::from_secs(3_600);
/// Transactions of one process at the same time. More would leave too few connections for deliveries.
const MAX_SLOTS: u32 = 4;

impl Inbound {
    /// Reads partitions of the stream until `end`.
    pub async fn consume(self: &Arc<Self>, end: &CancellationToken) {
        let slots = (self.store.connection_limit() / 2).clamp(1, MAX_SLOTS);
        let assignment = Assignment {
            applier: Arc::new(Applier::new(self.clone())),
            slots: Arc::new(Semaphore::new(slots as usize)),
            shared: self.partitions.all(),
            former: self.partitions.former(),
            former_end: None,
            is_former_read: false,
            held: BTreeMap::new(),
            readers: JoinSet::new(),
            is_without_leases: false,
            inbound: self.clone(),
            end: end.clone(),
        };
        assignment.run().await;
    }
}

struct Assignment {
    inbound: Arc<Inbound>,
    applier: Arc<Applier>,
    slots: Arc<Semaphore>,
    /// The partitions that the processes share.
    shared: Vec<Partition>,
    /// The partition of former releases. One process reads it in addition to its share.
    former: Option<Partition>,
    /// Its last entry when this process started: the other partitions are read after it, so that the order of each agent stays.
    former_end: Option<u64>,
    is_former_read: bool,
    /// By the name of the partition.
    held: BTreeMap<String, Held>,
    readers: JoinSet<()>,
    /// The key-value store is unavailable.
    is_without_leases: bool,
    end: CancellationToken,
}

/// A partition that this process reads.
struct Held {
    partition: Partition,
    /// `None`: read while the key-value store was unavailable.
    lease: Option<Lease>,
    is_shared: bool,
    /// Ends the reader. It stays held until the reader has ended.
    stop: CancellationToken,
    reader: Id,
}

impl Assignment {
    async fn run(mut self) {
        while !self.end.is_cancelled() {
            let balanced = self.balance().await;
            if let Err(error) = &balanced {
                if !self.is_without_leases {
                    tracing::warn!(%error, "partition leases unavailable; reading all partitions without them");
                }
                self.read_all_without_leases().await;
            }
            self.is_without_leases = balanced.is_err();
            self.record_held();
            self.wait().await;
        }
        // First, so that the others expect to take over its share.
        let heartbeat = keys::reader_heartbeat(&self.inbound.replica);
        if let Err(error) = self.inbound.kv.delete(&heartbeat).await {
            tracing::debug!(%error, "reader heartbeat not deleted; it expires");
        }
        // Their tokens are children of `end`.
        while let Some(ended) = self.readers.join_next_with_id().await {
            self.release_ended(ended).await;
        }
        self.record_held();
    }

    /// Waits for the next round. Releases partitions when their readers end meanwhile.
    async fn wait(&mut self) {
        let next = Instant::now() + BALANCE_INTERVAL;
        loop {
            tokio::select! {
                // The next round can acquire only what is released.
                biased;
                () = self.end.cancelled() => return,
                Some(ended) = self.readers.join_next_with_id() => self.release_ended(ended).await,
                () = tokio::time::sleep_until(next) => return,
            }
        }
    }

    async fn balance(&mut self) -> Result<(), KvError> {
        self.write_heartbeat().await?;
        self.renew_leases().await?;
        let readers = self.count_readers().await?;
        if let Some(former) = self.former.clone() {
            self.acquire(former, false).await?;
        }
        if !self.is_former_read().await {
            return Ok(());
        }
        let share = self.shared.len().div_ceil(readers);
        let held = self.held_count();
        if held > share {
            self.give_up(held - share);
        }
        // Another beginning in each process, so that they do not all try the same ones.
        let count = self.shared.len();
        let start = self.inbound.replica.as_str().bytes().map(usize::from).sum::<usize>() % count.max(1);
        for index in 0..count {
            if self.held_count() >= share {
                break;
            }
            if let Some(partition) = self.shared.get((start + index) % count).cloned() {
                self.acquire(partition, true).await?;
            }
        }
        Ok(())
    }

    async fn write_heartbeat(&self) -> Result<(), KvError> {
        let (kv, replica) = (&self.inbound.kv, &self.inbound.replica);
        kv.set(&keys::reader_heartbeat(replica), "1", LEASE).await?;
        kv.add_member(keys::READERS, replica.as_str(), READERS_TTL).await
    }

    /// Counts the processes that read, this one included.
    async fn count_readers(&self) -> Result<usize, KvError> {
        let kv = &self.inbound.kv;
        let members = kv.members(keys::READERS).await?;
        let heartbeat = |member: &String| keys::reader_heartbeat(&member.as_str().into());
        let heartbeats: Vec<String> = members.iter().map(heartbeat).collect();
        let found = kv.get_many(&heartbeats).await?;
        let mut count = 0;
        for (member, heartbeat) in members.iter().zip(found) {
            match heartbeat {
                Some(_) => count += 1,
                // A reader that was only slow adds itself again.
                None => kv.remove_member(keys::READERS, member).await?,
            }
        }
        Ok(count.max(1))
    }

    async fn renew_leases(&mut self) -> Result<(), KvError> {
        let (kv, holder) = (&self.inbound.kv, self.inbound.replica.as_str());
        let renewals = self.held.iter().filter(|(_, held)| !held.stop.is_cancelled());
        let renewals = renewals.map(|(name, held)| async move {
            let lease = match &held.lease {
                Some(lease) if kv.renew(lease, LEASE).await? => Some(lease.clone()),
                // It has expired, or the store was emptied. The reader continues if no other process has begun.
                _ => kv.acquire(&keys::reader(name), holder, LEASE).await?,
            };
            Ok::<_, KvError>((name.clone(), lease))
        });
        for renewed in join_all(renewals).await {
            let (name, lease) = renewed?;
            if let Some(held) = self.held.get_mut(&name) {
                if lease.is_none() {
                    tracing::info!(partition = name, "partition lease lost");
                    held.stop.cancel();
                }
                held.lease = lease;
            }
        }
        Ok(())
    }

    /// Returns whether the entries without a partition were read to the end that they had when this process started.
    async fn is_former_read(&mut self) -> bool {
        let Some(former) = self.former.as_ref().filter(|_| !self.is_former_read) else {
            return true;
        };
        let inbound = &self.inbound;
        let end = match self.former_end {
            Some(end) => Ok(end),
            None => inbound.bus.last_position(STREAM.name, &former.subject).await,
        };
        let position = inbound.store.find_log_position(&former.name).await;
        match (end, position) {
            (Ok(end), Ok(position)) => {
                self.is_former_read = position >= end;
                self.former_end = Some(end);
                if !self.is_former_read {
                    tracing::info!(position, end, "reading entries without a partition first");
                }
            }
            (Err(error), _) => tracing::warn!(%error, "end of the entries without a partition not read"),
            (_, Err(error)) => tracing::warn!(%error, "position in the entries without a partition not read"),
        }
        self.is_former_read
    }

    fn held_count(&self) -> usize {
        let counted = self
            .held
            .values()
            .filter(|held| held.is_shared && !held.stop.is_cancelled());
        counted.count()
    }

    /// Ends the readers of partitions beyond the share. Their leases are released when they have ended.
    fn give_up(&self, surplus: usize) {
        let held = self
            .held
            .values()
            .filter(|held| held.is_shared && !held.stop.is_cancelled());
        for held in held.take(surplus) {
            tracing::info!(partition = held.partition.name, "partition given up to another process");
            held.stop.cancel();
        }
    }

    async fn acquire(&mut self, partition: Partition, is_shared: bool) -> Result<(), KvError> {
        if self.held.contains_key(&partition.name) {
            return Ok(());
        }
        let (kv, holder) = (&self.inbound.kv, self.inbound.replica.as_str());
        if let Some(lease) = kv.acquire(&keys::reader(&partition.name), holder, LEASE).await? {
            self.start(partition, is_shared, Some(lease));
        }
        Ok(())
    }

    async fn read_all_without_leases(&mut self) {
        let former = self.former.clone().map(|former| (former, false));
        let shared = match self.is_former_read().await {
            true => self.shared.clone(),
            false => Vec::new(),
        };
        for (partition, is_shared) in former
            .into_iter()
            .chain(shared.into_iter().map(|shared| (shared, true)))
        {
            if !self.held.contains_key(&partition.name) {
                self.start(partition, is_shared, None);
            }
        }
    }

    fn start(&mut self, partition: Partition, is_shared: bool, lease: Option<Lease>) {
        let stop = self.end.child_token();
        let reader = PartitionReader {
            inbound: self.inbound.clone(),
            applier: self.applier.clone(),
            partition: partition.clone(),
            slots: self.slots.clone(),
            end: stop.clone(),
        };
        let reader = self.readers.spawn(async move { reader.run().await }).id();
        let held = Held {
            partition,
            lease,
            is_shared,
            stop,
            reader,
        };
        self.held.insert(held.partition.name.clone(), held);
    }

    /// Releases the partition of a reader that has ended. The next round acquires it again, or another process does.
    async fn release_ended(&mut self, ended: Result<(Id, ()), tokio::task::JoinError>) {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let name = self
            .held
            .iter()
            .find(|(_, held)| held.reader == id)
            .map(|(name, _)| name.clone());
        let Some(held) = name.and_then(|name| self.held.remove(&name)) else {
            return;
        };
        self.inbound.metrics.forget_partition(&held.partition.label);
        if let Some(lease) = held.lease
            && let Err(error) = self.inbound.kv.release(&lease).await
        {
            tracing::debug!(%error, "partition lease not released; it expires");
        }
    }

    fn record_held(&self) {
        self.inbound.metrics.set_partitions_held(self.held_count());
    }
}
