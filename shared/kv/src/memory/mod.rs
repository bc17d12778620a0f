//! The in-process backend, for a single process without replicas. The table never grows beyond twice its live entries:
//! expired entries are swept when it has doubled.

mod table;

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use butt_dial_domain::{
    Clock,
    ports::kv::{Kv, KvError, Lease, Quota, RateLimitDecision},
};

use self::table::{Entry, Micros, Table, Value};

pub struct MemoryKv {
    clock: Clock,
    table: Mutex<Table>,
}

impl MemoryKv {
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            table: Mutex::default(),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        // Never backwards: a clock that is set back must not revive expired entries.
        table.now = table.now.max(self.clock.now().timestamp_micros());
        table
    }
}

#[async_trait]
impl Kv for MemoryKv {
    async fn take(&self, quotas: &[Quota]) -> Result<RateLimitDecision, KvError> {
        let mut table = self.table();
        let mut arrivals = Vec::with_capacity(quotas.len());
        let mut worst = (0, 0, 0);
        for (index, quota) in quotas.iter().enumerate() {
            let before = table.arrival(&quota.key)?;
            let arrival = before.saturating_add(taken(quota));
            let full = table.now + interval(quota) * i64::from(quota.limit);
            if arrival - full > worst.0 {
                let remaining = ((full - before) / interval(quota)).max(0);
                worst = (arrival - full, index, u32::try_from(remaining).unwrap_or(u32::MAX));
            }
            arrivals.push(arrival);
        }
        if let (wait @ 1.., quota, remaining) = worst {
            return Ok(RateLimitDecision::Denied {
                quota,
                retry_after: Duration::from_micros(wait.unsigned_abs()),
                remaining,
            });
        }
        for (quota, arrival) in quotas.iter().zip(arrivals) {
            table.put(&quota.key, Value::Quota(arrival), arrival);
        }
        Ok(RateLimitDecision::Granted)
    }

    async fn give_back(&self, quotas: &[Quota]) -> Result<(), KvError> {
        let mut table = self.table();
        for quota in quotas {
            let arrival = table.arrival(&quota.key)? - taken(quota);
            // A time in the past means a full quota, so the limit is never exceeded.
            table.put(&quota.key, Value::Quota(arrival), arrival);
        }
        Ok(())
    }

    async fn increment(&self, key: &str, ttl: Duration) -> Result<(u64, Duration), KvError> {
        let mut table = self.table();
        if let Some((count, expires)) = table.counter(key)? {
            *count += 1;
            let count = *count;
            return Ok((count, table.left(expires)));
        }
        let expires = table.after(ttl);
        table.put(key, Value::Counter(1), expires);
        Ok((1, ttl))
    }

    async fn set(&self, key: &str, value: &str, ttl: Duration) -> Result<(), KvError> {
        let mut table = self.table();
        let expires = table.after(ttl);
        table.put(key, Value::Text(value.to_owned()), expires);
        Ok(())
    }

    async fn get(&self, key: &str) -> Result<Option<String>, KvError> {
        self.table().text(key)
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<String>>, KvError> {
        let mut table = self.table();
        keys.iter().map(|key| table.text(key)).collect()
    }

    async fn delete(&self, key: &str) -> Result<(), KvError> {
        self.table().entries.remove(key);
        Ok(())
    }

    async fn once(&self, key: &str, ttl: Duration) -> Result<bool, KvError> {
        let mut table = self.table();
        if table.live(key).is_some() {
            return Ok(false);
        }
        let expires = table.after(ttl);
        table.put(key, Value::Nonce, expires);
        Ok(true)
    }

    async fn add_member(&self, key: &str, member: &str, ttl: Duration) -> Result<(), KvError> {
        let mut table = self.table();
        let renewed = table.after(ttl);
        if let Some((set, expires)) = table.set(key)? {
            set.insert(member.to_owned());
            *expires = renewed;
            return Ok(());
        }
        table.put(key, Value::Set(BTreeSet::from([member.to_owned()])), renewed);
        Ok(())
    }

    async fn remove_member(&self, key: &str, member: &str) -> Result<(), KvError> {
        if let Some((set, _)) = self.table().set(key)? {
            set.remove(member);
        }
        Ok(())
    }

    async fn members(&self, key: &str) -> Result<Vec<String>, KvError> {
        let mut table = self.table();
        Ok(table
            .set(key)?
            .map(|(set, _)| set.iter().cloned().collect())
            .unwrap_or_default())
    }

    async fn push_recent(&self, key: &str, member: &str, max: usize, ttl: Duration) -> Result<Vec<String>, KvError> {
        let mut table = self.table();
        let renewed = table.after(ttl);
        let Some((members, expires)) = table.recent(key)? else {
            table.put(key, Value::Recent(vec![member.to_owned()]), renewed);
            return Ok(Vec::new());
        };
        members.retain(|other| other != member);
        members.push(member.to_owned());
        *expires = renewed;
        let surplus = members.len().saturating_sub(max);
        Ok(members.drain(..surplus).collect())
    }

    async fn remove_recent(&self, key: &str, member: &str) -> Result<(), KvError> {
        if let Some((members, _)) = self.table().recent(key)? {
            members.retain(|other| other != member);
        }
        Ok(())
    }

    async fn acquire(&self, key: &str, holder: &str, ttl: Duration) -> Result<Option<Lease>, KvError> {
        let mut table = self.table();
        let expires = table.after(ttl);
        let fence = match table.live(key) {
            Some(Entry {
                value: Value::Lease { holder: current, fence },
                ..
            }) if current == holder => *fence,
            Some(Entry {
                value: Value::Lease { .. },
                ..
            }) => return Ok(None),
            Some(_) => return Err(other_kind(key)),
            None => table.next_fence(),
        };
        Ok(Some(table.lease(key, holder, fence, expires)))
    }

    async fn steal_lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<Lease, KvError> {
        let mut table = self.table();
        let expires = table.after(ttl);
        if let Some(entry) = table.live(key)
            && !matches!(entry.value, Value::Lease { .. })
        {
            return Err(other_kind(key));
        }
        let fence = table.next_fence();
        Ok(table.lease(key, holder, fence, expires))
    }

    async fn restore(&self, lease: &Lease, ttl: Duration) -> Result<bool, KvError> {
        let mut table = self.table();
        let expires = table.after(ttl);
        let last = table.counter(&fence_key(&lease.key))?.map_or(0, |(fence, _)| *fence);
        let is_held_by_other = match table.live(&lease.key) {
            None => false,
            Some(Entry {
                value: Value::Lease { holder, fence },
                ..
            }) => *fence >= lease.fence && (*fence, holder.as_str()) != (lease.fence, lease.holder.as_str()),
            Some(_) => return Err(other_kind(&lease.key)),
        };
        if is_held_by_other || last > lease.fence {
            return Ok(false);
        }
        table.lease(&lease.key, &lease.holder, lease.fence, expires);
        Ok(true)
    }

    async fn set_if_leased(&self, lease: &Lease, key: &str, value: &str, ttl: Duration) -> Result<bool, KvError> {
        let mut table = self.table();
        let expires = table.after(ttl);
        if table.held(lease).is_none() {
            return Ok(false);
        }
        table.put(key, Value::Text(value.to_owned()), expires);
        Ok(true)
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, KvError> {
        let mut table = self.table();
        let expires = table.after(ttl);
        let held = table.held(lease);
        Ok(held.map(|entry| entry.expires = expires).is_some())
    }

    async fn release(&self, lease: &Lease) -> Result<(), KvError> {
        let mut table = self.table();
        if table.held(lease).is_some() {
            table.entries.remove(&lease.key);
        }
        Ok(())
    }

    async fn check(&self) -> Result<(), KvError> {
        Ok(())
    }
}

/// Returns the refill time of one unit, in whole microseconds, so that sums are exact.
fn interval(quota: &Quota) -> Micros {
    (micros(quota.period) / i64::from(quota.limit.max(1))).max(1)
}

/// Returns the time that the units of a take are worth.
fn taken(quota: &Quota) -> Micros {
    interval(quota).saturating_mul(i64::from(quota.units.max(1)))
}

fn micros(duration: Duration) -> Micros {
    // Half of the range, so that it can be added to a time without overflow.
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2)
}

fn fence_key(key: &str) -> String {
    format!("{key}:fence")
}

fn other_kind(key: &str) -> KvError {
    KvError(format!("the key {key} holds another kind of value"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::{TimeDelta, TimeZone, Utc};

    use super::*;

    async fn open() -> (Arc<dyn Kv>, ()) {
        (Arc::new(MemoryKv::new(Clock::System)), ())
    }

    butt_dial_testkit::kv_conformance!(open);

    fn with_manual_clock() -> (MemoryKv, Clock) {
        let clock = Clock::manual(Utc.with_ymd_and_hms(2026, 11, 22, 12, 0, 0).unwrap());
        (MemoryKv::new(clock.clone()), clock)
    }

    #[tokio::test]
    async fn uneven_quota_is_exact() {
        let (kv, clock) = with_manual_clock();
        let quotas = [Quota {
            key: "q".into(),
            limit: 7,
            period: Duration::from_secs(60),
            units: 1,
        }];
        for _ in 0..7 {
            assert_eq!(kv.take(&quotas).await.unwrap(), RateLimitDecision::Granted);
        }
        let RateLimitDecision::Denied { retry_after, .. } = kv.take(&quotas).await.unwrap() else {
            panic!("granted")
        };
        assert_eq!(retry_after, Duration::from_micros(60_000_000 / 7));
        let retry_after = TimeDelta::from_std(retry_after).unwrap();
        clock.advance(retry_after - TimeDelta::microseconds(1));
        assert_ne!(kv.take(&quotas).await.unwrap(), RateLimitDecision::Granted);
        clock.advance(TimeDelta::microseconds(1));
        assert_eq!(kv.take(&quotas).await.unwrap(), RateLimitDecision::Granted);
        assert_ne!(kv.take(&quotas).await.unwrap(), RateLimitDecision::Granted);
    }

    #[tokio::test]
    async fn sweeps_expired_entries() {
        let (kv, clock) = with_manual_clock();
        for round in 0..100_000 {
            assert!(
                kv.once(&format!("nonce-{round}"), Duration::from_secs(1))
                    .await
                    .unwrap()
            );
            clock.advance(TimeDelta::milliseconds(1));
        }
        assert!(kv.table().entries.len() <= 2 * table::SWEEP_FLOOR);
    }

    #[tokio::test]
    async fn clock_set_back_revives_nothing() {
        let (kv, clock) = with_manual_clock();
        kv.set("k", "v", Duration::from_secs(1)).await.unwrap();
        clock.advance(TimeDelta::seconds(2));
        assert_eq!(kv.get("k").await.unwrap(), None);
        clock.advance(TimeDelta::seconds(-2));
        assert_eq!(kv.get("k").await.unwrap(), None);
    }

    #[tokio::test]
    async fn rejects_key_of_other_kind() {
        let (kv, _) = with_manual_clock();
        kv.set("k", "v", Duration::from_secs(1)).await.unwrap();
        assert!(kv.members("k").await.is_err());
        assert!(kv.increment("k", Duration::from_secs(1)).await.is_err());
    }
}
