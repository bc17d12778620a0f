//! Whose address is whose, kept in memory so that carriers are served while the database is away. Told of changes over the
//! bus, and read anew now and then in case a change was missed.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
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

/// Cheap to clone.
#[derive(Clone)]
pub struct Routes {
    comms: Comms,
    known: Arc<RwLock<HashMap<Key, Arc<InboundRoute>>>>,
    unknown: Cache<Key, ()>,
}

impl Routes {
    /// Reads them all; then `follow` keeps them up to date.
    pub async fn load(comms: Comms) -> Result<Self, StoreError> {
        let routes = Self {
            comms,
            known: Arc::default(),
            unknown: Cache::builder()
                .max_capacity(MAX_UNKNOWN)
                .time_to_live(UNKNOWN_FOR)
                .build(),
        };
        routes.refresh().await?;
        Ok(routes)
    }

    /// Reads them all again.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let mut all = HashMap::new();
        let mut after = None;
        loop {
            let page = self.comms.store.list_routes(after.as_ref(), PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            after = page.last().map(|route| route.channel_id.clone());
            all.extend(page.into_iter().map(entry));
            if is_last {
                break;
            }
        }
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = all;
        Ok(())
    }

    /// Takes changes in until `end`. Returns when it can't hear of them any more.
    pub async fn follow(&self, end: &CancellationToken) {
        let Ok(mut changes) = self.comms.bus.subscribe(subjects::ROUTE_CHANGED).await else {
            return;
        };
        while let Some(Some(change)) = end.run_until_cancelled(changes.next()).await {
            let text = String::from_utf8_lossy(&change.payload).into_owned();
            let Some((channel, address)) = text.split_once(' ') else {
                continue;
            };
            let Some(channel) = Channel::parse(channel) else {
                continue;
            };
            self.unknown.invalidate(&(channel, address.to_owned()));
            if let Err(error) = self.look_up(channel, address).await {
                tracing::warn!(%error, "a changed address can't be read yet");
            }
        }
    }

    /// An address that is not known yet may be new. An error: nobody can say right now.
    pub async fn find(&self, channel: Channel, address: &str) -> Result<Option<Arc<InboundRoute>>, StoreError> {
        let key = (channel, address.to_owned());
        let known = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        if known.is_some() {
            return Ok(known);
        }
        if self.unknown.contains_key(&key) {
            return Ok(None);
        }
        let found = self.look_up(channel, address).await?;
        if found.is_none() {
            self.unknown.insert(key, ());
        }
        Ok(found)
    }

    async fn look_up(&self, channel: Channel, address: &str) -> Result<Option<Arc<InboundRoute>>, StoreError> {
        let found = self.comms.store.find_route(channel, address).await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        match found {
            Some(route) => {
                let (key, route) = entry(route);
                known.insert(key, route.clone());
                Ok(Some(route))
            }
            None => {
                known.remove(&(channel, address.to_owned()));
                Ok(None)
            }
        }
    }
}

fn entry(route: InboundRoute) -> (Key, Arc<InboundRoute>) {
    ((route.channel, route.address.clone()), Arc::new(route))
}
