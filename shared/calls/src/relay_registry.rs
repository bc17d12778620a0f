//! Which relay holds which calls, so that the calls of one that vanished are found and taken over. One mark a relay, not one
//! a call: what is watched grows with the replicas, not with the calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use butt_dial_domain::{CallId, ReplicaId, keys, ports::kv::KvError};

use tokio::time::Instant;

use crate::Comms;

/// How often a relay says that it lives.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);
/// Without a beat for so long it is taken for dead.
const MARK_TTL: Duration = Duration::from_secs(3);
/// And after so long without a mark its calls are taken over.
const GONE_AFTER: Duration = Duration::from_secs(2);
/// Longer than a call lasts.
const SETS_TTL: Duration = Duration::from_secs(6 * 3_600);
/// Who may take a dead relay's calls over: until then nobody else does.
pub const TAKEOVER_LEASE: Duration = Duration::from_secs(30);

/// What a relay has said last of itself. Each beat is another one, so that a store that has lost some is known by it.
#[derive(Default)]
pub struct Heartbeat {
    beats: u64,
    /// The store is known to have had it.
    last: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryState {
    Kept,
    /// The store does not know, or not any more, what we said last: nor may it know of our calls.
    Lost,
}

impl Heartbeat {
    /// This relay lives.
    pub async fn renew(&mut self, comms: &Comms) -> Result<RegistryState, KvError> {
        let mark = keys::relay_heartbeat(&comms.replica);
        let last = self.last.take();
        let found = comms.kv.get(&mark).await?;
        self.beats += 1;
        let beat = self.beats.to_string();
        comms.kv.set(&mark, &beat, MARK_TTL).await?;
        self.last = Some(beat);
        Ok(match last.is_some() && last == found {
            true => RegistryState::Kept,
            false => RegistryState::Lost,
        })
    }
}

pub async fn register_call(comms: &Comms, call: &CallId) -> Result<(), KvError> {
    let replica = &comms.replica;
    let calls = keys::relay_calls(replica);
    let of_all = comms.kv.add_member(keys::RELAYS, replica.as_str(), SETS_TTL);
    let of_ours = comms.kv.add_member(&calls, call.as_str(), SETS_TTL);
    tokio::try_join!(of_all, of_ours).map(drop)
}

pub async fn unregister_call(comms: &Comms, call: &CallId) -> Result<(), KvError> {
    comms
        .kv
        .remove_member(&keys::relay_calls(&comms.replica), call.as_str())
        .await
}

/// Relays whose mark is missing, and since when: one look may have met a store that has just come back.
#[derive(Clone, Default)]
pub struct ExpiredRelays(Arc<Mutex<HashMap<ReplicaId, Instant>>>);

impl ExpiredRelays {
    /// Whether it has been missing for long enough.
    fn is_gone(&self, relay: &ReplicaId, has_mark: bool) -> bool {
        let mut missing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if has_mark {
            missing.remove(relay);
            return false;
        }
        let since = missing.entry(relay.clone()).or_insert_with(Instant::now);
        since.elapsed() >= GONE_AFTER
    }
}

/// The calls of relays that are gone, for whoever is first to ask.
pub async fn find_orphaned_calls(comms: &Comms, missing: &ExpiredRelays) -> Result<Vec<(ReplicaId, CallId)>, KvError> {
    let relays = comms.kv.members(keys::RELAYS).await?;
    let relays: Vec<ReplicaId> = relays.iter().map(|id| ReplicaId::from(id.as_str())).collect();
    let marks: Vec<String> = relays.iter().map(keys::relay_heartbeat).collect();
    let marks = comms.kv.get_many(&marks).await?;
    let mut orphans = Vec::new();
    for (relay, mark) in relays.into_iter().zip(marks) {
        if relay == comms.replica || !missing.is_gone(&relay, mark.is_some()) {
            continue;
        }
        let calls = keys::relay_calls(&relay);
        // One of the relays that see it takes care of all of them.
        let lease = comms
            .kv
            .acquire(&format!("{calls}:takeover"), comms.replica.as_str(), TAKEOVER_LEASE)
            .await?;
        if lease.is_none() {
            continue;
        }
        for call in comms.kv.members(&calls).await? {
            orphans.push((relay.clone(), CallId::from(call)));
        }
        if orphans.iter().all(|(of, _)| of != &relay) {
            comms.kv.remove_member(keys::RELAYS, relay.as_str()).await?;
        }
    }
    Ok(orphans)
}

/// The orphan is taken care of.
pub async fn remove_orphan(comms: &Comms, relay: &ReplicaId, call: &CallId) -> Result<(), KvError> {
    comms.kv.remove_member(&keys::relay_calls(relay), call.as_str()).await
}
