//! Records of Streamable HTTP sessions, shared by all replicas and cached by each for some seconds.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    AgentId, Failure, OrgId,
    clock::Timestamp,
    keys,
    ports::{
        bus::{BusError, Headers},
        kv::KvError,
    },
    subjects,
};
use futures::{StreamExt, future::BoxFuture};
use moka::sync::Cache;
use rmcp::model::InitializeRequestParams;
use serde::{Deserialize, Serialize};

use crate::{
    connection::{ClientChange, ClientFlags, Reach},
    ports::Ports,
    session_ends,
};

/// An unused session expires after a day, or earlier when its agent has too many newer ones.
const TTL: Duration = Duration::from_secs(86_400);
/// How long a replica trusts its cache when it misses a change.
const CACHE_TTL: Duration = Duration::from_secs(5);
const CACHE_SIZE: u64 = 100_000;
/// Bytes of a client's introduction that are kept.
const MAX_PEER: usize = 8 * 1024;
/// A session in use is written again at this interval, so that it does not expire and counts among its agent's newest.
const TOUCH_INTERVAL: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    pub agent: AgentId,
    /// `None`: an older release has created the session.
    #[serde(default)]
    pub org: Option<OrgId>,
    /// The client's introduction, with the negotiated protocol version.
    pub peer: InitializeRequestParams,
    pub touched_at: Timestamp,
    #[serde(flatten)]
    pub flags: ClientFlags,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct SessionRegistry {
    ports: Ports,
    max_per_agent: usize,
    /// A request looks its session up several times.
    cache: Cache<String, Arc<Session>>,
}

impl SessionRegistry {
    pub(crate) fn new(ports: Ports, max_per_agent: usize) -> Self {
        let cache = Cache::builder()
            .max_capacity(CACHE_SIZE)
            .time_to_live(CACHE_TTL)
            .build();
        Self {
            ports,
            max_per_agent,
            cache,
        }
    }

    /// Subscribes to changes that other replicas make. The future keeps the cache current until the process drains.
    pub(crate) async fn listen(&self) -> Result<BoxFuture<'static, ()>, BusError> {
        let mut changes = self.ports.bus.subscribe(subjects::SESSION_CHANGED).await?;
        let (cache, draining) = (self.cache.clone(), self.ports.draining.clone());
        Ok(Box::pin(async move {
            while let Some(Some(message)) = draining.run_until_cancelled(changes.next()).await {
                cache.invalidate(&*String::from_utf8_lossy(&message.payload));
            }
        }))
    }

    /// Creates a session. Of an introduction that is too large, only the protocol version is kept.
    pub async fn create(
        &self,
        id: &str,
        (agent, org): (AgentId, Option<OrgId>),
        reach: Reach,
        peer: InitializeRequestParams,
    ) -> Result<(), Failure> {
        let size = serde_json::to_vec(&peer).map_or(usize::MAX, |text| text.len());
        let peer = match size {
            0..=MAX_PEER => peer,
            _ => InitializeRequestParams::default().with_protocol_version(peer.protocol_version),
        };
        let session = Session {
            agent,
            org,
            peer,
            touched_at: self.ports.clock.now(),
            flags: ClientFlags {
                reach,
                ..ClientFlags::default()
            },
        };
        self.write(id, session).await.map(drop)
    }

    pub async fn find(&self, id: &str) -> Result<Option<Arc<Session>>, Failure> {
        if let Some(session) = self.cache.get(id) {
            return Ok(Some(session));
        }
        let Some(session) = self.read(id).await? else {
            return Ok(None);
        };
        let now = self.ports.clock.now();
        if now - session.touched_at > TOUCH_INTERVAL {
            let touched = Session {
                touched_at: now,
                ..session
            };
            return self.write(id, touched).await.map(Some);
        }
        Ok(Some(self.remember(id, session)))
    }

    /// Reads the session from the store and not from the cache.
    pub async fn read(&self, id: &str) -> Result<Option<Session>, Failure> {
        let text = self.ports.kv.get(&keys::session(id)).await.map_err(unavailable)?;
        Ok(text.and_then(|text| serde_json::from_str::<Session>(&text).ok()))
    }

    /// Applies a change. Returns the changed session, or `None` when nothing changes or there is no such session.
    pub async fn update(&self, id: &str, change: &ClientChange) -> Result<Option<Session>, Failure> {
        if let Some(session) = self.cache.get(id)
            && !session.flags.clone().apply(change)
        {
            return Ok(None);
        }
        // Another replica may have made another change since.
        let Some(mut session) = self.read(id).await? else {
            return Ok(None);
        };
        if !session.flags.apply(change) {
            self.remember(id, session);
            return Ok(None);
        }
        self.write(id, session.clone()).await?;
        self.publish_change(id).await;
        Ok(Some(session))
    }

    /// Ends a session. Does nothing when there is none.
    pub async fn close(&self, id: &str) -> Result<(), Failure> {
        let Some(session) = self.find(id).await? else {
            return Ok(());
        };
        let recent = keys::agent_sessions(&session.agent);
        let (deleted, removed) = tokio::join!(
            self.delete(&session.agent, id),
            self.ports.kv.remove_recent(&recent, id)
        );
        removed.map_err(unavailable)?;
        deleted
    }

    async fn delete(&self, agent: &AgentId, id: &str) -> Result<(), Failure> {
        self.ports.kv.delete(&keys::session(id)).await.map_err(unavailable)?;
        self.cache.invalidate(id);
        self.publish_change(id).await;
        session_ends::publish(&self.ports, agent, id).await;
        Ok(())
    }

    async fn publish_change(&self, id: &str) {
        let payload = id.to_owned().into();
        let published = self
            .ports
            .bus
            .publish(subjects::SESSION_CHANGED, Headers::new(), payload)
            .await;
        if let Err(error) = published {
            tracing::warn!(%error, "session change not published; caches of other replicas stay stale for seconds");
        }
    }

    async fn write(&self, id: &str, session: Session) -> Result<Arc<Session>, Failure> {
        let text = serde_json::to_string(&session).map_err(|error| {
            tracing::error!(%error, "session not serializable");
            Failure::internal()
        })?;
        let kv = &self.ports.kv;
        let (key, recent) = (keys::session(id), keys::agent_sessions(&session.agent));
        let (written, surplus) = tokio::join!(
            kv.set(&key, &text, TTL),
            kv.push_recent(&recent, id, self.max_per_agent, TTL)
        );
        written.map_err(unavailable)?;
        for unused in surplus.map_err(unavailable)? {
            tracing::info!(agent = %session.agent, "session ended: agent has too many");
            self.delete(&session.agent, &unused).await?;
        }
        Ok(self.remember(id, session))
    }

    fn remember(&self, id: &str, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        self.cache.insert(id.to_owned(), session.clone());
        session
    }
}

fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "session store unavailable");
    Failure::unavailable("the session store is not available right now")
}
