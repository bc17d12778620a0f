//! Verification of a log: everything is computed again from the rows, and compared with what was sealed and signed. The first
//! broken row is named.

use std::collections::HashMap;

use butt_dial_domain::{Failure, clock::Timestamp};
use butt_dial_store::{AuditRow, CheckpointRow, LeafKind, LeafRow, LogHead};
use chrono::TimeDelta;

use crate::{
    Audit, entry,
    hash::{self, Hash},
    note::Verifier,
    service::number,
    tree::{self, Frontier, Range},
};

/// Entries of a page: whole tiles.
const PAGE: i64 = 4_096;
const TILE: usize = 256;
const CHECKPOINTS: u32 = 1_000;
/// Clocks of replicas may differ, and a transaction takes a while. An entry that is dated earlier than this before its predecessors
/// was inserted.
const SKEW: TimeDelta = TimeDelta::minutes(10);

/// The result of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verification {
    pub log: String,
    /// Entries that were verified.
    pub verified: u64,
    /// Entries of which only the hash is left: their rows were deleted after the retention time.
    pub expired: u64,
    /// Size of the log as its end states it.
    pub size: u64,
    /// The size of the newest checkpoint.
    pub signed_size: u64,
    pub root: Hash,
    /// The first broken row. `None`: the log is whole.
    pub broken: Option<Broken>,
}

/// A row that is not what was sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its place in the log.
    pub seq: u64,
    /// The id of the row or of the message, if there is one.
    pub id: Option<String>,
    pub reason: &'static str,
}

/// The state of a verification between two entries.
struct Walk<'a> {
    verifier: &'a Verifier,
    kept_since: Option<Timestamp>,
    chain: Hash,
    frontier: Frontier,
    latest: Option<Timestamp>,
    expired: u64,
    /// Checkpoints that are not reached yet, the next one last.
    checkpoints: Vec<CheckpointRow>,
}

impl Audit {
    /// Verifies a log. `on_progress` gets the number of entries so far.
    pub async fn verify(&self, log: &str, mut on_progress: impl FnMut(u64)) -> Result<Verification, Failure> {
        // Before the head: the log may grow meanwhile, and a checkpoint is never beyond its end.
        let mut checkpoints = self.checkpoints(log).await?;
        checkpoints.reverse();
        let head = self.store.find_log_head(log).await?;
        let verifier = self.verifier(log).await?;
        let mut walk = Walk {
            verifier: &verifier,
            kept_since: self.kept.map(|kept| self.clock.now() - kept),
            chain: hash::genesis(log),
            frontier: Frontier::default(),
            latest: None,
            expired: 0,
            checkpoints,
        };
        let size = head.as_ref().map_or(0, |head| head.size);
        let mut first = 0;
        let mut broken = None;
        while first < size && broken.is_none() {
            let leaves = self.store.list_leaves(log, first, page_limit(size - first)).await?;
            let end = first.saturating_add(PAGE).min(size);
            let changes = self.store.list_sealed_changes(log, first, end).await?;
            broken = walk.page(first, end, &leaves, changes);
            if broken.is_none() {
                broken = self.compare_nodes(log, first, &leaves).await?;
            }
            first = end;
            on_progress(walk.frontier.size());
        }
        if broken.is_none() {
            broken = self.check_end(log, head.as_ref(), &mut walk).await?;
        }
        Ok(Verification {
            log: log.to_owned(),
            verified: walk.frontier.size(),
            expired: walk.expired,
            size: number(size),
            signed_size: head.map_or(0, |head| number(head.signed_size)),
            root: walk.frontier.root(),
            broken,
        })
    }

    /// Compares the stored roots of the full tiles of a page.
    async fn compare_nodes(&self, log: &str, first: i64, leaves: &[LeafRow]) -> Result<Option<Broken>, Failure> {
        let full = leaves.chunks_exact(TILE);
        let range = Range {
            level: 1,
            first: number(first) / TILE as u64,
            count: full.len() as u64,
        };
        let stored = self.read_hashes(log, range).await?;
        for (n, tile) in full.enumerate() {
            let hashes: Vec<Hash> = tile
                .iter()
                .filter_map(|leaf| leaf.leaf.as_slice().try_into().ok())
                .collect();
            if stored.get(n) != Some(&tree::fold(&hashes)) {
                let seq = number(first) + (n * TILE) as u64;
                return Ok(broken(
                    seq,
                    None,
                    "the stored hash of the tile that begins here was changed",
                ));
            }
        }
        Ok(None)
    }

    /// Checks that the log ends where its end states, and that nothing is behind it.
    async fn check_end(
        &self,
        log: &str,
        head: Option<&LogHead>,
        walk: &mut Walk<'_>,
    ) -> Result<Option<Broken>, Failure> {
        let size = walk.frontier.size();
        if let Some(next) = walk.checkpoints.pop() {
            let reason = "the log is shorter than a signed checkpoint: its last entries were deleted";
            return Ok(broken(size.min(number(next.size)), None, reason));
        }
        if let Some(behind) = self.find_behind(log, i64::try_from(size).unwrap_or(i64::MAX)).await? {
            return Ok(Some(behind));
        }
        let Some(head) = head else {
            return Ok(None);
        };
        if head.chain != walk.chain {
            return Ok(broken(
                size.saturating_sub(1),
                None,
                "the end of the log has another chain value",
            ));
        }
        if number(head.signed_size) > size {
            let reason = "the log is shorter than it was when it was signed: its last entries were deleted";
            return Ok(broken(size, None, reason));
        }
        Ok(None)
    }

    /// Finds an entry or a row behind the end of the log, which the sealer may move meanwhile: it writes both with the new end, so what
    /// is behind an end is valid if the end that is read afterwards includes it.
    async fn find_behind(&self, log: &str, mut end: i64) -> Result<Option<Broken>, Failure> {
        loop {
            let leaf = self.store.list_leaves(log, end, 1).await?.into_iter().next();
            let row = self.store.find_sealed_change(log, end).await?;
            if leaf.is_none() && row.is_none() {
                return Ok(None);
            }
            let moved = self.store.find_log_head(log).await?.map_or(0, |head| head.size);
            if moved <= end {
                return Ok(match (leaf, row) {
                    (Some(leaf), _) => broken(
                        number(end),
                        Some(leaf.reference),
                        "the entry is behind the end of the log",
                    ),
                    (None, row) => broken(
                        number(end),
                        row.map(|row| row.id),
                        "the row is behind the end of the log",
                    ),
                });
            }
            end = moved;
        }
    }

    async fn checkpoints(&self, log: &str) -> Result<Vec<CheckpointRow>, Failure> {
        let mut all: Vec<CheckpointRow> = Vec::new();
        loop {
            let first = all.last().map_or(0, |last| last.size + 1);
            let page = self.store.list_checkpoints(log, first, CHECKPOINTS).await?;
            let is_last = page.len() < CHECKPOINTS as usize;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }
}

impl Walk<'_> {
    fn page(&mut self, first: i64, end: i64, leaves: &[LeafRow], changes: Vec<AuditRow>) -> Option<Broken> {
        let mut rows: HashMap<i64, AuditRow> = changes.into_iter().filter_map(|row| Some((row.seq?, row))).collect();
        let mut leaves = leaves.iter().peekable();
        for seq in first..end {
            let row = rows.remove(&seq);
            let place = number(seq);
            let Some(leaf) = leaves.next_if(|leaf| leaf.seq == seq) else {
                let id = row.map(|row| row.id);
                return broken(place, id, "the entry was deleted");
            };
            if let Some(reason) = self.entry(leaf, row.as_ref()) {
                let other = row.map(|row| row.id).filter(|_| leaf.kind == LeafKind::Send);
                return broken(place, other.or_else(|| Some(leaf.reference.clone())), reason);
            }
            let Ok(hash) = Hash::try_from(leaf.leaf.as_slice()) else {
                return broken(place, Some(leaf.reference.clone()), "the hash of the entry was changed");
            };
            self.chain = hash::chain(&self.chain, &hash);
            if leaf.chain != self.chain {
                let reason = "the chain breaks here: entries were changed, inserted, deleted or reordered";
                return broken(place, Some(leaf.reference.clone()), reason);
            }
            self.frontier.push(&hash);
            if let Some(reason) = self.checkpoint() {
                return broken(place, Some(leaf.reference.clone()), reason);
            }
        }
        None
    }

    /// Checks an entry against its row. Returns what is wrong.
    fn entry(&mut self, leaf: &LeafRow, row: Option<&AuditRow>) -> Option<&'static str> {
        let may_have_expired = self.kept_since.is_some_and(|since| leaf.at < since);
        let text = match (leaf.kind, row) {
            (LeafKind::Send, Some(_)) => return Some("the row was inserted: a send has this place"),
            (LeafKind::Send, None) => match &leaf.entry {
                Some(text) if text.contains(&entry::time(leaf.at)) => text.clone(),
                Some(_) => return Some("the time of the entry was changed"),
                None => return Some("the outcome was deleted"),
            },
            (LeafKind::Change, None) if may_have_expired => {
                self.expired += 1;
                return self.date(leaf.at);
            }
            (LeafKind::Change, None) => return Some("the row was deleted"),
            (LeafKind::Change, Some(row)) if row.id != leaf.reference => {
                return Some("another row has this place: rows were reordered or replaced");
            }
            (LeafKind::Change, Some(row)) if row.entry.at != leaf.at => return Some("the time of the row was changed"),
            (LeafKind::Change, Some(row)) => entry::change(row),
        };
        if hash::leaf(text.as_bytes()).as_slice() != leaf.leaf.as_slice() {
            return Some("the row was changed after it was sealed");
        }
        match leaf.kind {
            LeafKind::Change => self.date(leaf.at),
            // The outcome of a send may be stored long after it is known.
            LeafKind::Send => None,
        }
    }

    fn date(&mut self, at: Timestamp) -> Option<&'static str> {
        if self.latest.is_some_and(|latest| at < latest - SKEW) {
            return Some("the row is dated before rows that were sealed earlier: it was inserted later");
        }
        self.latest = self.latest.max(Some(at));
        None
    }

    /// Compares the root with the checkpoint of this size, if there is one.
    fn checkpoint(&mut self) -> Option<&'static str> {
        let size = self.frontier.size();
        // The checkpoint of an empty log says nothing.
        while self.checkpoints.last().is_some_and(|next| number(next.size) < size) {
            self.checkpoints.pop();
        }
        let row = self.checkpoints.pop_if(|next| number(next.size) == size)?;
        match self.verifier.open_checkpoint(&row.note) {
            Some(signed) if signed.size == size && signed.root == self.frontier.root() => None,
            Some(_) => Some("the log up to here differs from its signed checkpoint"),
            None => Some("the checkpoint that ends here is not signed by the key of this log"),
        }
    }
}

/// Returns the number of entries of the next page.
fn page_limit(left: i64) -> u32 {
    u32::try_from(left.min(PAGE)).unwrap_or_default()
}

fn broken(seq: u64, id: Option<String>, reason: &'static str) -> Option<Broken> {
    Some(Broken { seq, id, reason })
}
