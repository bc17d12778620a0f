//! The entries of the in-process backend. Lookups never return an expired entry.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use butt_dial_domain::ports::kv::{KvError, Lease};

use super::{fence_key, micros, other_kind};

/// The last fence of a lease is kept for this long after the lease.
const FENCE_RETENTION: Duration = Duration::from_secs(24 * 3_600);
/// The table is not swept below this number of entries.
pub(super) const SWEEP_FLOOR: usize = 1_024;

/// Microseconds since 1970.
pub(super) type Micros = i64;

pub(super) enum Value {
    /// The theoretical arrival time of GCRA: the time at which the quota is full again.
    Quota(Micros),
    Counter(u64),
    Text(String),
    Nonce,
    Set(BTreeSet<String>),
    /// The most recent member is the last.
    Recent(Vec<String>),
    Lease {
        holder: String,
        fence: u64,
    },
}

pub(super) struct Entry {
    pub value: Value,
    pub expires: Micros,
}

#[derive(Default)]
pub(super) struct Table {
    pub entries: HashMap<String, Entry>,
    sweep_at: usize,
    last_fence: u64,
    pub now: Micros,
}

impl Table {
    pub fn live(&mut self, key: &str) -> Option<&mut Entry> {
        let now = self.now;
        self.entries.get_mut(key).filter(|entry| entry.expires > now)
    }

    pub fn put(&mut self, key: &str, value: Value, expires: Micros) {
        if self.entries.len() >= self.sweep_at {
            let now = self.now;
            self.entries.retain(|_, entry| entry.expires > now);
            self.sweep_at = (2 * self.entries.len()).max(SWEEP_FLOOR);
        }
        self.entries.insert(key.to_owned(), Entry { value, expires });
    }

    pub fn after(&self, ttl: Duration) -> Micros {
        self.now.saturating_add(micros(ttl).max(1))
    }

    pub fn left(&self, expires: Micros) -> Duration {
        Duration::from_micros(u64::try_from(expires - self.now).unwrap_or(0))
    }

    /// Returns the time at which the quota is full again: now, when it is full.
    pub fn arrival(&mut self, key: &str) -> Result<Micros, KvError> {
        let now = self.now;
        match self.live(key) {
            None => Ok(now),
            Some(Entry {
                value: Value::Quota(arrival),
                ..
            }) => Ok((*arrival).max(now)),
            Some(_) => Err(other_kind(key)),
        }
    }

    pub fn text(&mut self, key: &str) -> Result<Option<String>, KvError> {
        match self.live(key) {
            None => Ok(None),
            Some(Entry {
                value: Value::Text(text),
                ..
            }) => Ok(Some(text.clone())),
            Some(Entry {
                value: Value::Counter(count),
                ..
            }) => Ok(Some(count.to_string())),
            Some(_) => Err(other_kind(key)),
        }
    }

    pub fn counter(&mut self, key: &str) -> Result<Option<(&mut u64, Micros)>, KvError> {
        match self.live(key) {
            None => Ok(None),
            Some(Entry {
                value: Value::Counter(count),
                expires,
            }) => Ok(Some((count, *expires))),
            Some(_) => Err(other_kind(key)),
        }
    }

    pub fn set(&mut self, key: &str) -> Result<Option<(&mut BTreeSet<String>, &mut Micros)>, KvError> {
        match self.live(key) {
            None => Ok(None),
            Some(Entry {
                value: Value::Set(set),
                expires,
            }) => Ok(Some((set, expires))),
            Some(_) => Err(other_kind(key)),
        }
    }

    pub fn recent(&mut self, key: &str) -> Result<Option<(&mut Vec<String>, &mut Micros)>, KvError> {
        match self.live(key) {
            None => Ok(None),
            Some(Entry {
                value: Value::Recent(members),
                expires,
            }) => Ok(Some((members, expires))),
            Some(_) => Err(other_kind(key)),
        }
    }

    /// Returns the time in microseconds, so that fences grow across restarts, or the last fence plus one.
    pub fn next_fence(&self) -> u64 {
        (self.last_fence + 1).max(self.now.unsigned_abs())
    }

    pub fn lease(&mut self, key: &str, holder: &str, fence: u64, expires: Micros) -> Lease {
        self.last_fence = self.last_fence.max(fence);
        let holder = holder.to_owned();
        let lease = Lease {
            key: key.to_owned(),
            holder: holder.clone(),
            fence,
        };
        self.put(key, Value::Lease { holder, fence }, expires);
        let remembered = expires.saturating_add(micros(FENCE_RETENTION));
        self.put(&fence_key(key), Value::Counter(fence), remembered);
        lease
    }

    /// Returns the entry of a lease that is held with this fence.
    pub fn held(&mut self, lease: &Lease) -> Option<&mut Entry> {
        self.live(&lease.key).filter(
            |entry| matches!(&entry.value, Value::Lease { holder, fence } if *holder == lease.holder && *fence == lease.fence),
        )
    }
}
