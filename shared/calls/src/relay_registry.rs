//! Registry of relays and their calls. It finds the calls of relays that vanished. Each relay has one heartbeat entry, so the
//! work grows with the number of relays, not with the number of calls.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use butt_dial_domain::{CallId, ReplicaId, keys, ports::kv::KvError};
use tokio::time::Instant;

use super::handle::Calls;

/// Interval of heartbeats.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// A heartbeat entry expires after this time without a heartbeat.
const HEARTBEAT_TTL: Duration = Duration::from_secs(3);
/// A relay counts as vanished this long after its heartbeat entry expired.
const VANISHED_AFTER: Duration = Duration::from_secs(2);
/// Longer than any call.
const SETS_TTL: Duration = Duration::from_secs(6 * 3_600);
/// One relay takes over the calls of a vanished relay for this time; then another one may.
pub const TAKEOVER_LEASE: Duration = Duration::from_secs(30);

/// The heartbeat of this relay. Each one has a different value, so that data loss in the store is noticed.
#[derive(Default)]
pub struct Heartbeat {
    count: u64,
    /// The last value that the store confirmed.
    last: Option<String>,
}

/// Whether the registry still has the entries of this relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryState {
    Kept,
    /// The last heartbeat is missing, so the registered calls may be missing too.
    Lost,
}

impl Heartbeat {
    pub async fn renew(&mut self, calls: &Calls) -> Result<RegistryState, KvError> {
        let key = keys::relay_heartbeat(&calls.replica);
        let last = self.last.take();
        let found = calls.kv.get(&key).await?;
        self.count += 1;
        let value = self.count.to_string();
        calls.kv.set(&key, &value, HEARTBEAT_TTL).await?;
        self.last = Some(value);
        Ok(match last.is_some() && last == found {
            true => RegistryState::Kept,
            false => RegistryState::Lost,
        })
    }
}

/// Registers a call of this relay.
pub async fn register_call(calls: &Calls, call: &CallId) -> Result<(), KvError> {
    let replica = &calls.replica;
    let key = keys::relay_calls(replica);
    let relay = calls.kv.add_member(keys::RELAYS, replica.as_str(), SETS_TTL);
    let call = calls.kv.add_member(&key, call.as_str(), SETS_TTL);
    tokio::try_join!(relay, call).map(drop)
}

/// Removes a call of this relay.
pub async fn unregister_call(calls: &Calls, call: &CallId) -> Result<(), KvError> {
    remove_orphan(calls, &calls.replica, call).await
}

/// Relays with an expired heartbeat, and since when. A single miss may only show that the store has just restarted.
#[derive(Default)]
pub struct ExpiredRelays(Mutex<HashMap<ReplicaId, Instant>>);

impl ExpiredRelays {
    /// Notes the result of a check. Returns true if the relay counts as vanished.
    fn has_vanished(&self, relay: &ReplicaId, has_heartbeat: bool) -> bool {
        let mut expired = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if has_heartbeat {
            expired.remove(relay);
            return false;
        }
        let since = expired.entry(relay.clone()).or_insert_with(Instant::now);
        since.elapsed() >= VANISHED_AFTER
    }
}

/// Finds the calls of vanished relays. Takes the lease for each of these relays, so that one relay takes over all its calls.
pub async fn find_orphaned_calls(calls: &Calls, expired: &ExpiredRelays) -> Result<Vec<(ReplicaId, CallId)>, KvError> {
    let relays = calls.kv.members(keys::RELAYS).await?;
    let relays: Vec<ReplicaId> = relays.iter().map(|id| ReplicaId::from(id.as_str())).collect();
    let heartbeats: Vec<String> = relays.iter().map(keys::relay_heartbeat).collect();
    let heartbeats = calls.kv.get_many(&heartbeats).await?;
    let mut orphaned = Vec::new();
    for (relay, heartbeat) in relays.into_iter().zip(heartbeats) {
        if relay == calls.replica || !expired.has_vanished(&relay, heartbeat.is_some()) {
            continue;
        }
        let key = keys::relay_calls(&relay);
        let lease_key = format!("{key}:takeover");
        let lease = calls
            .kv
            .acquire(&lease_key, calls.replica.as_str(), TAKEOVER_LEASE)
            .await?;
        if lease.is_none() {
            continue;
        }
        let members = calls.kv.members(&key).await?;
        if members.is_empty() {
            calls.kv.remove_member(keys::RELAYS, relay.as_str()).await?;
        }
        orphaned.extend(members.into_iter().map(|call| (relay.clone(), CallId::from(call))));
    }
    Ok(orphaned)
}

/// Removes an orphaned call that was handled.
pub async fn remove_orphan(calls: &Calls, relay: &ReplicaId, call: &CallId) -> Result<(), KvError> {
    calls.kv.remove_member(&keys::relay_calls(relay), call.as_str()).await
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn relay_vanishes_after_two_seconds_without_heartbeat() {
        let (expired, relay) = (ExpiredRelays::default(), ReplicaId::generate());
        assert!(!expired.has_vanished(&relay, false), "a single miss");
        advance(VANISHED_AFTER - Duration::from_millis(1)).await;
        assert!(!expired.has_vanished(&relay, false));
        advance(Duration::from_millis(1)).await;
        assert!(expired.has_vanished(&relay, false));
        assert!(!expired.has_vanished(&relay, true), "it is back");
        assert!(!expired.has_vanished(&relay, false), "the time starts again");
    }
}
