//! Routes: which agent owns which address. They are cached in memory, so that webhooks are received while the database is
//! unavailable. Changes are published over the bus; a periodic refresh finds missed ones.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
    time::Duration,
};

use butt_dial_domain::{Address, Channel, Clock, ports::bus::Bus, subjects};
use butt_dial_store::{InboundRoute, SenderRoute, Store, StoreError};
use chrono::TimeDelta;
use futures::StreamExt;
use moka::sync::Cache;
use tokio_util::sync::CancellationToken;

/// How often all routes are read again.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
const PAGE_SIZE: u32 = 5_000;
/// Caches unknown addresses, which clients that guess numbers request repeatedly.
const UNKNOWN_TTL: Duration = Duration::from_secs(2);
const MAX_UNKNOWN: u64 = 10_000;

type Key = (Channel, String);

/// The delay after a failed subscription.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone)]
pub struct Routes {
    store: Store,
    bus: Arc<dyn Bus>,
    clock: Clock,
    /// How long after its last message a sender of the pool serves an agent for a contact.
    binding: TimeDelta,
    state: Arc<RwLock<State>>,
}

struct State {
    known: HashMap<Key, SenderRoute>,
    unknown: Cache<Key, ()>,
    /// Counts the published changes. A value that was read before a change may be outdated.
    changes: u64,
    /// The keys that changed since the current refresh started; `None`: no refresh is in progress.
    changed: Option<HashSet<Key>>,
}

impl Routes {
    /// Reads all routes. `follow` keeps them up to date.
    pub async fn load(store: Store, bus: Arc<dyn Bus>, clock: Clock, binding: TimeDelta) -> Result<Self, StoreError> {
        let routes = Self {
            store,
            bus,
            clock,
            binding,
            state: Arc::new(RwLock::new(State::default())),
        };
        routes.refresh().await?;
        Ok(routes)
    }

    /// Reads all routes again. Must not run concurrently.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        self.write().changed = Some(HashSet::new());
        let read = self.read_all().await;
        let mut state = self.write();
        let changed = state.changed.take().unwrap_or_default();
        state.replace(read?, changed);
        Ok(())
    }

    async fn read_all(&self) -> Result<HashMap<Key, SenderRoute>, StoreError> {
        let mut all = HashMap::new();
        let mut after = None;
        loop {
            let page = self.store.list_routes(after.as_ref(), PAGE_SIZE).await?;
            let is_last = page.len() < PAGE_SIZE as usize;
            after = page.last().map(|route| route.channel_id().clone());
            all.extend(page.into_iter().map(entry));
            if is_last {
                return Ok(all);
            }
        }
    }

    /// Applies published changes until `end`.
    pub async fn follow(&self, end: &CancellationToken) {
        while !end.is_cancelled() {
            match self.bus.subscribe(subjects::ROUTE_CHANGED).await {
                Ok(mut changes) => {
                    while let Some(Some(change)) = end.run_until_cancelled(changes.next()).await {
                        self.apply_change(&String::from_utf8_lossy(&change.payload)).await;
                    }
                }
                Err(error) => tracing::warn!(%error, "route changes not subscribed"),
            }
            // The next refresh finds the changes that were missed meanwhile.
            let _ = end.run_until_cancelled(tokio::time::sleep(RETRY_INTERVAL)).await;
        }
    }

    async fn apply_change(&self, text: &str) {
        let Some((channel, address)) = text.split_once(' ') else {
            return;
        };
        let Some(channel) = Channel::parse(channel) else {
            return;
        };
        let key = key(channel, address);
        self.write().note_change(key.clone());
        if let Err(error) = self.lookup(&key, address).await {
            tracing::warn!(%error, "changed route not read");
        }
    }

    /// Finds the agent that receives what `contact` sends to an address. `None`: the address has no owner, or it belongs to the pool
    /// of an organization without agents.
    pub async fn resolve(
        &self,
        channel: Channel,
        address: &str,
        contact: &str,
    ) -> Result<Option<Arc<InboundRoute>>, StoreError> {
        let pool = match self.find(channel, address).await? {
            None => return Ok(None),
            Some(SenderRoute::Agent(route)) => return Ok(Some(route)),
            Some(SenderRoute::Pool(pool)) => pool,
        };
        let contact = Address::known(channel, contact).contact_key();
        let now = self.clock.now();
        let expired = now - self.binding;
        let Some(route) = self.store.find_pool_owner(&pool, &contact, expired).await? else {
            return Ok(None);
        };
        let owner = (&route.org, &route.agent);
        // Traffic renews the binding. It only decides about later messages.
        let bound = self.store.bind_sender(&route.channel_id, &contact, owner, now, expired);
        if let Err(error) = bound.await {
            tracing::warn!(%error, agent = %route.agent, "binding of a pooled sender not renewed");
        }
        Ok(Some(Arc::new(route)))
    }

    /// Finds the route of an address, or of the address that it is a variation of: a mailbox has one owner, whatever the case
    /// of its name, and with any subaddress (RFC 5233).
    pub async fn find(&self, channel: Channel, address: &str) -> Result<Option<SenderRoute>, StoreError> {
        for address in variations(channel, address) {
            if let Some(route) = self.find_exact(channel, &address).await? {
                return Ok(Some(route));
            }
        }
        Ok(None)
    }

    /// Finds the route of exactly this address. One that is not cached is read from the database, because it may be new.
    async fn find_exact(&self, channel: Channel, address: &str) -> Result<Option<SenderRoute>, StoreError> {
        let key = key(channel, address);
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(route) = state.known.get(&key) {
                return Ok(Some(route.clone()));
            }
            if state.unknown.contains_key(&key) {
                return Ok(None);
            }
        }
        self.lookup(&key, address).await
    }

    /// Finds a cached route.
    pub fn find_cached(&self, channel: Channel, address: &str) -> Option<SenderRoute> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        variations(channel, address)
            .into_iter()
            .find_map(|address| state.known.get(&key(channel, &address)).cloned())
    }

    async fn lookup(&self, key: &Key, address: &str) -> Result<Option<SenderRoute>, StoreError> {
        let changes = self.state.read().unwrap_or_else(PoisonError::into_inner).changes;
        let mut found = self.store.find_route(key.0, address).await?;
        if found.is_none() && key.1 != address {
            found = self.store.find_route(key.0, &key.1).await?;
        }
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
                .time_to_live(UNKNOWN_TTL)
                .build(),
            changes: 0,
            changed: None,
        }
    }
}

impl State {
    /// Notes a change before the key is read again.
    fn note_change(&mut self, key: Key) {
        self.changes += 1;
        self.unknown.invalidate(&key);
        if let Some(changed) = &mut self.changed {
            changed.insert(key);
        }
    }

    /// Caches a value that was read when `changes` had been counted. After another change it may be outdated and is not
    /// cached; the handler of changes reads one after the other, so its values are always current.
    fn learn(&mut self, changes: u64, key: &Key, found: Option<SenderRoute>) {
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

    /// Replaces the cache by what a refresh read, except for the keys that changed meanwhile: each has been read again, or is
    /// about to be.
    fn replace(&mut self, mut all: HashMap<Key, SenderRoute>, changed: HashSet<Key>) {
        for key in changed {
            match self.known.remove(&key) {
                Some(route) => all.insert(key, route),
                None => all.remove(&key),
            };
        }
        self.known = all;
    }
}

fn entry(route: SenderRoute) -> (Key, SenderRoute) {
    (key(route.channel(), route.address()), route)
}

/// Returns the key of an address in the cache: mailboxes without the case of their names.
fn key(channel: Channel, address: &str) -> Key {
    match channel {
        Channel::Email => (channel, address.to_lowercase()),
        _ => (channel, address.to_owned()),
    }
}

/// Returns the addresses that a route may have: as written, and without the subaddress.
fn variations(channel: Channel, address: &str) -> Vec<String> {
    let mut variations = vec![address.to_owned()];
    if channel == Channel::Email
        && let Some((local, domain)) = address.rsplit_once('@')
        && let Some((base, _)) = local.split_once('+').filter(|(base, _)| !base.is_empty())
    {
        variations.push(format!("{base}@{domain}"));
    }
    variations
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::{AgentId, ChannelId, OrgId, call::VoiceSettings};

    use super::*;

    fn route(address: &str, blocked: bool) -> SenderRoute {
        SenderRoute::Agent(Arc::new(InboundRoute {
            channel: Channel::Sms,
            address: address.into(),
            channel_id: ChannelId::from(address),
            agent: AgentId::from("agt_1"),
            org: OrgId::from("org_1"),
            account: None,
            agent_name: "Ann".into(),
            blocked,
            has_bridges: false,
            voice: VoiceSettings::default(),
        }))
    }

    fn is_blocked(state: &State, address: &str) -> bool {
        state.known[&key(address)].agent().unwrap().blocked
    }

    fn key(address: &str) -> Key {
        (Channel::Sms, address.to_owned())
    }

    /// The state after a refresh that read `read` while these changes, and the lookups they cause, happened.
    fn refreshed(read: &[SenderRoute], changes: &[(&str, Option<SenderRoute>)]) -> State {
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
        let all = read.iter().map(|route| (key(route.address()), route.clone())).collect();
        state.replace(all, changed);
        state
    }

    #[test]
    fn keeps_changes_made_during_refresh() {
        let old = [route("a", false), route("b", false)];
        let state = refreshed(
            &old,
            &[
                ("a", Some(route("a", true))),
                ("b", None),
                ("c", Some(route("c", false))),
            ],
        );
        assert!(is_blocked(&state, "a"), "the block stays");
        assert!(!state.known.contains_key(&key("b")), "the removed route stays removed");
        assert!(state.known.contains_key(&key("c")), "a new number stays");
    }

    #[test]
    fn finds_unpublished_changes_by_refresh() {
        let state = refreshed(&[route("b", true), route("c", false)], &[]);
        assert!(!state.known.contains_key(&key("a")));
        assert!(is_blocked(&state, "b"));
        assert!(state.known.contains_key(&key("c")));
    }

    #[test]
    fn does_not_cache_values_read_before_a_change() {
        let mut state = State::default();
        let before = state.changes;
        state.note_change(key("a"));
        state.learn(state.changes, &key("a"), Some(route("a", true)));
        // Read before the change, returned after it.
        state.learn(before, &key("a"), Some(route("a", false)));
        assert!(is_blocked(&state, "a"));
        state.learn(before, &key("a"), None);
        assert!(state.known.contains_key(&key("a")) && !state.unknown.contains_key(&key("a")));

        state.learn(state.changes, &key("b"), None);
        assert!(state.unknown.contains_key(&key("b")));
        state.note_change(key("b"));
        assert!(!state.unknown.contains_key(&key("b")), "it may have an owner now");
    }
}
