//! What the in-process backend keeps, and how it is looked up: nothing that has expired is ever seen.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use butt_dial_domain::ports::kv::{KvError, Lease};

use super::{fence_key, micros, other_kind};

/// How long the last fence of a lease is remembered after the lease.
const FENCE_MEMORY: Duration = Duration::from_secs(24 * 3_600);
/// The table is not swept while it is smaller than this.
pub(super) const SWEEP_FLOOR: usize = 1_024;

/// Microseconds since 1970.
pub(super) type Micros = i64;

pub(super) enum Value {
    /// The theoretical arrival time of GCRA: when the quota is whole again.
    Quota(Micros),
    Counter(u64),
    Text(String),
    Nonce,
    Set(BTreeSet<String>),
    /// The newest last.
    Line(Vec<String>),
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

    /// When the quota is whole again; now, if it is.
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

    pub fn line(&mut self, key: &str) -> Result<Option<(&mut Vec<String>, &mut Micros)>, KvError> {
        match self.live(key) {
            None => Ok(None),
            Some(Entry {
                value: Value::Line(line),
                expires,
            }) => Ok(Some((line, expires))),
            Some(_) => Err(other_kind(key)),
        }
    }

    /// The time, so that fences that were written down outlive this process; more, if the clock stands still.
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
        let remembered = expires.saturating_add(micros(FENCE_MEMORY));
        self.put(&fence_key(key), Value::Counter(fence), remembered);
        lease
    }

    /// The entry of a lease, if this holder has it with this fence.
    pub fn held(&mut self, lease: &Lease) -> Option<&mut Entry> {
        self.live(&lease.key).filter(
            |entry| matches!(&entry.value, Value::Lease { holder, fence } if *holder == lease.holder && *fence == lease.fence),
        )
    }
}
