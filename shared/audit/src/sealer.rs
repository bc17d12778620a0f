//! The sealer: gives the rows that have none a place in their log, within about a second. Every dispatcher runs it; a log is leased
//! to one at a time, and its end is moved by compare-and-set.

use std::{
    collections::{BTreeMap, HashMap},
    sync::atomic::Ordering,
};

use butt_dial_domain::{Failure, clock::Timestamp};
use butt_dial_store::{AuditRow, INSTALLATION_LOG, LeafKind, LeafRow, LogHead, NodeRow, SealedBatch, UnsealedSend};
use chrono::TimeDelta;

use crate::{
    Audit, entry,
    hash::{self, Hash},
    service::{damaged, hashes},
    tree,
};

/// Rows of one round. SQLite has one writer, and sends wait while a round is written.
const BATCH: u32 = 500;
const MIN_BATCH: u32 = 50;
/// Longer than a round takes.
const LEASE: TimeDelta = TimeDelta::seconds(10);

/// A row with its canonical text.
struct Entry {
    kind: LeafKind,
    id: String,
    at: Timestamp,
    text: String,
}

impl Audit {
    /// Seals all rows without a place, in rounds. Returns how many.
    pub async fn seal_due(&self) -> Result<usize, Failure> {
        let mut sealed = 0;
        loop {
            let limit = self.batch.load(Ordering::Relaxed).clamp(MIN_BATCH, BATCH);
            // A round that takes the database too long is repeated with fewer rows, so that it gets ahead.
            let count = self
                .seal_round(limit)
                .await
                .inspect_err(|_| self.batch.store(limit / 4, Ordering::Relaxed))?;
            self.batch.store(limit.saturating_mul(2), Ordering::Relaxed);
            sealed += count;
            if count < limit as usize {
                return Ok(sealed);
            }
        }
    }

    async fn seal_round(&self, limit: u32) -> Result<usize, Failure> {
        let now = self.clock.now();
        let changes = self.store.list_unsealed_changes(&self.replica, now, limit).await?;
        let sends = self.store.list_unsealed_sends(&self.replica, now, limit).await?;
        let mut by_log = self.entries(changes, sends);
        if by_log.is_empty() {
            return Ok(0);
        }
        let with_genesis = |log: &String| (log.clone(), hash::genesis(log).to_vec());
        let logs: Vec<_> = by_log.keys().map(with_genesis).collect();
        let heads = self.store.lease_logs(&logs, &self.replica, now, now + LEASE).await?;
        let mut batches = Vec::new();
        for head in heads {
            if let Some(entries) = by_log.remove(&head.log) {
                batches.push(self.batch(head, entries).await?);
            }
        }
        let count = batches.iter().map(|batch| batch.leaves.len()).sum();
        match count == 0 || self.store.append_leaves(&batches).await? {
            true => Ok(count),
            // Another sealer had the lease since the rows were read, or has taken it over.
            false => Ok(0),
        }
    }

    /// Returns the entries of each log in the order of their times.
    fn entries(&self, changes: Vec<AuditRow>, sends: Vec<UnsealedSend>) -> BTreeMap<String, Vec<Entry>> {
        let mut by_log: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
        for row in changes {
            let log = row.entry.org_id.clone().unwrap_or_else(|| INSTALLATION_LOG.to_owned());
            by_log.entry(log).or_default().push(Entry {
                kind: LeafKind::Change,
                at: row.entry.at,
                text: entry::change(&row),
                id: row.id,
            });
        }
        let key = entry::NonceKey::new(&self.vault);
        for row in sends {
            by_log.entry(row.org_id.clone()).or_default().push(Entry {
                kind: LeafKind::Send,
                at: row.updated_at,
                text: entry::send(&key, &row),
                id: row.id,
            });
        }
        for entries in by_log.values_mut() {
            entries.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
        }
        by_log
    }

    async fn batch(&self, before: LogHead, entries: Vec<Entry>) -> Result<SealedBatch, Failure> {
        let first = u64::try_from(before.size).unwrap_or_default();
        let size = first + entries.len() as u64;
        let mut tails = HashMap::new();
        for tail in tree::tails(first, size) {
            tails.insert(tail.level, self.read_hashes(&before.log, tail).await?);
        }
        let mut chain: Hash = hashes(std::slice::from_ref(&before.chain))?[0];
        let (mut leaves, mut leaf_hashes) = (Vec::with_capacity(entries.len()), Vec::with_capacity(entries.len()));
        for (seq, entry) in (before.size..).zip(entries) {
            let leaf = hash::leaf(entry.text.as_bytes());
            chain = hash::chain(&chain, &leaf);
            leaf_hashes.push(leaf);
            leaves.push(LeafRow {
                seq,
                reference: entry.id,
                leaf: leaf.to_vec(),
                chain: chain.to_vec(),
                at: entry.at,
                entry: (entry.kind == LeafKind::Send).then_some(entry.text),
                kind: entry.kind,
            });
        }
        let nodes = tree::grow(first, &leaf_hashes, &tails).ok_or_else(|| damaged(&before.log))?;
        let as_row = |node: tree::Node| NodeRow {
            level: node.level.into(),
            n: i64::try_from(node.number).unwrap_or(i64::MAX),
            hash: node.hash.to_vec(),
        };
        Ok(SealedBatch {
            nodes: nodes.into_iter().map(as_row).collect(),
            before,
            leaves,
        })
    }
}
