//! Whose address is whose, kept in memory so that carriers are served while the database is away. Told of changes over the
//! bus, and read anew now and then in case a change was missed.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
    time::Duration,
};

use butt_dial_domain::{Channel, subjects};
use butt_dial_store::{InboundRoute, StoreError};
use futures::StreamExt;
use moka::sync::Cache;
use tokio_util::sync::CancellationToken;

use crate::Comms;

/// How often everything is read anew.
pub const REFRESH: Duration = Duration::from_secs(30);
const PAGE: u32 = 5_000;
/// Addresses that nobody has are asked for again and again by whoever guesses numbers.
const UNKNOWN_FOR: Duration = Duration::from_secs(2);
const MAX_UNKNOWN: u64 = 10_000;

type Key = (Channel, String);

/// After the bus could not be listened to.
const PAUSE: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone)]
pub struct Routes {
    comms: Comms,
    state: Arc<RwLock<State>>,
}

struct State {
    known: HashMap<Key, Arc<InboundRoute>>,
    unknown: Cache<Key, ()>,
    /// Grows with each change that we are told of: what was read before one may be what it was before.
    changes: u64,
    /// Changed since a refresh began to read; `None`: none is under way.
    changed: Option<HashSet<Key>>,
}

impl Routes {
    /// Reads them all; then `follow` keeps them up to date.
    pub async fn load(comms: Comms) -> Result<Self, StoreError> {
        let routes = Self {
            comms,
            state: Arc::new(RwLock::new(State::default())),
        };
        routes.refresh().await?;
        Ok(routes)
    }

    /// Reads them all again. One at a time.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.write().changed = Some(HashSet::new());
        let read = self.read_all().await;
        let mut state = self.write();
        let changed = state.changed.take().unwrap_or_default();
        state.replace(read?, changed);
        Ok(())
    }

    async fn read_all(&self) -> Result<HashMap<Key, Arc<InboundRoute>>, StoreError> {
        let mut all = HashMap::new();
        let mut after = None;
        loop {
            let page = self.comms.store.list_routes(after.as_ref(), PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            after = page.last().map(|route| route.channel_id.clone());
            all.extend(page.into_iter().map(entry));
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Takes changes in until `end`.
    pub async fn follow(&self, end: &CancellationToken) {
        while !end.is_cancelled() {
            match self.comms.bus.subscribe(subjects::ROUTE_CHANGED).await {
                Ok(mut changes) => {
                    while let Some(Some(change)) = end.run_until_cancelled(changes.next()).await {
                        self.take_change(&String::from_utf8_lossy(&change.payload)).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "changes of addresses can't be heard of yet"),
            }
            // What was missed meanwhile, the next refresh finds.
            let _ = end.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
    }

    async fn take_change(&self, text: &str) {
        let Some((channel, address)) = text.split_once(' ') else {
            return;
        };
        let Some(channel) = Channel::parse(channel) else {
            return;
        };
        let key = (channel, address.to_owned());
        self.write().note_change(key.clone());
        if let Err(error) = self.look_up(&key).await {
            tracing::warn!(%error, "a changed address can't be read yet");
        }
    }

    /// An address that is not known yet may be new. An error: nobody can say right now.
    pub async fn find(&self, channel: Channel, address: &str) -> Result<Option<Arc<InboundRoute>>, StoreError> {
        let key = (channel, address.to_owned());
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(route) = state.known.get(&key) {
                return Ok(Some(route.clone()));
            }
            if state.unknown.contains_key(&key) {
                return Ok(None);
            }
        }
        self.look_up(&key).await
    }

    async fn look_up(&self, key: &Key) -> Result<Option<Arc<InboundRoute>>, StoreError> {
        let changes = self.state.read().unwrap_or_else(PoisonError::into_inner).changes;
        let found = self.comms.store.find_route(key.0, &key.1).await?;
        let found = found.map(|route| entry(route).1);
        self.write().learn(changes, key, found.clone());
        Ok(found)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            unknown: Cache::builder()
                .max_capacity(MAX_UNKNOWN)
                .time_to_live(UNKNOWN_FOR)
                .build(),
            changes: 0,
            changed: None,
        }
    }
}

impl State {
    /// Before the key is looked up: what is read from now on is what the change made of it.
    fn note_change(&mut self, key: Key) {
        self.changes += 1;
        self.unknown.invalidate(&key);
        if let Some(changed) = &mut self.changed {
            changed.insert(key);
        }
    }

    /// What was read when there had been so many changes. One that came since may have made it untrue: then nothing is
    /// remembered. Whoever takes changes in does so one after the other, and always learns.
    fn learn(&mut self, changes: u64, key: &Key, found: Option<Arc<InboundRoute>>) {
        if self.changes != changes {
            return;
        }
        match found {
            Some(route) => {
                self.unknown.invalidate(key);
                self.known.insert(key.clone(), route);
            }
            None => {
                self.known.remove(key);
                self.unknown.insert(key.clone(), ());
            }
        }
    }

    /// All that was read takes the place of what was known, but for what has changed since reading began: each such key has
    /// been looked up anew, or is about to be.
    fn replace(&mut self, mut all: HashMap<Key, Arc<InboundRoute>>, changed: HashSet<Key>) {
        for key in changed {
            match self.known.remove(&key) {
                Some(route) => all.insert(key, route),
                None => all.remove(&key),
            };
        }
        self.known = all;
    }
}

fn entry(route: InboundRoute) -> (Key, Arc<InboundRoute>) {
    ((route.channel, route.address.clone()), Arc::new(route))
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::{AgentId, ChannelId, OrgId};

    use super::*;

    fn route(address: &str, blocked: bool) -> Arc<InboundRoute> {
        Arc::new(InboundRoute {
            channel: Channel::Sms,
            address: address.into(),
            channel_id: ChannelId::from(address),
            agent: AgentId::from("agt_1"),
            org: OrgId::from("org_1"),
            agent_name: "Ann".into(),
            blocked,
        })
    }

    fn key(address: &str) -> Key {
        (Channel::Sms, address.to_owned())
    }

    /// What is known once a refresh that read `read` has met these changes, and the look-ups they led to.
    fn refreshed(read: &[Arc<InboundRoute>], changes: &[(&str, Option<Arc<InboundRoute>>)]) -> State {
        let mut state = State::default();
        for address in ["a", "b"] {
            state.learn(0, &key(address), Some(route(address, false)));
        }
        state.changed = Some(HashSet::new());
        for (address, now) in changes {
            state.note_change(key(address));
            state.learn(state.changes, &key(address), now.clone());
        }
        let changed = state.changed.take().unwrap();
        let all = read.iter().map(|route| (key(&route.address), route.clone())).collect();
        state.replace(all, changed);
        state
    }

    #[test]
    fn what_changed_while_everything_was_read_is_not_undone() {
        let old = [route("a", false), route("b", false)];
        let state = refreshed(
            &old,
            &[
                ("a", Some(route("a", true))),
                ("b", None),
                ("c", Some(route("c", false))),
            ],
        );
        assert!(state.known[&key("a")].blocked, "the block stays");
        assert!(!state.known.contains_key(&key("b")), "what was given up stays so");
        assert!(state.known.contains_key(&key("c")), "a new number stays");
    }

    #[test]
    fn what_nobody_told_of_is_found_by_reading_everything() {
        let state = refreshed(&[route("b", true), route("c", false)], &[]);
        assert!(!state.known.contains_key(&key("a")));
        assert!(state.known[&key("b")].blocked);
        assert!(state.known.contains_key(&key("c")));
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let mut state = State::default();
        let before = state.changes;
        state.note_change(key("a"));
        state.learn(state.changes, &key("a"), Some(route("a", true)));
        // Read before, come back after.
        state.learn(before, &key("a"), Some(route("a", false)));
        assert!(state.known[&key("a")].blocked);
        state.learn(before, &key("a"), None);
        assert!(state.known.contains_key(&key("a")) && !state.unknown.contains_key(&key("a")));

        state.learn(state.changes, &key("b"), None);
        assert!(state.unknown.contains_key(&key("b")));
        state.note_change(key("b"));
        assert!(!state.unknown.contains_key(&key("b")), "it may be somebody's now");
    }
}
