//! Records of Streamable HTTP sessions: shared by all replicas, remembered for a moment by each.

use std::{sync::Arc, time::Duration};

use butt_dial_comms::Comms;
use butt_dial_domain::{
    AgentId, Failure,
    clock::Timestamp,
    keys,
    ports::{bus::Headers, kv::KvError},
    subjects,
};
use butt_dial_runtime::{Lifecycle, platform::StartError};
use futures::StreamExt;
use http::HeaderName;
use moka::sync::Cache;
use rmcp::model::InitializeRequestParams;
use serde::{Deserialize, Serialize};

use super::connection::{Change, Marks};

pub const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");

/// An unused session is forgotten after a day; earlier where its agent has too many newer ones.
const TTL: Duration = Duration::from_secs(86_400);
/// How long a replica trusts what it remembers, should it miss that a session was closed.
const CACHE_TTL: Duration = Duration::from_secs(5);
const CACHE_SIZE: u64 = 100_000;
/// Bytes.
const MAX_PEER: usize = 8 * 1024;
/// A session in use is written again this often, so that it does not end, and stands among its agent's newest.
const TOUCH: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    pub agent: AgentId,
    /// What the client said of itself, with the negotiated revision.
    pub peer: InitializeRequestParams,
    pub touched_at: Timestamp,
    #[serde(flatten)]
    pub marks: Marks,
}

#[derive(Clone)]
pub struct Sessions {
    comms: Comms,
    /// How many an agent may have.
    most: usize,
    /// Looked up several times a request: the records are shared.
    remembered: Cache<String, Arc<Session>>,
}

impl Sessions {
    pub async fn start(comms: Comms, most: usize, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        let remembered = Cache::builder()
            .max_capacity(CACHE_SIZE)
            .time_to_live(CACHE_TTL)
            .build();
        let closed = comms.bus.subscribe(subjects::SESSION_CHANGED).await;
        let mut closed = closed.map_err(|error| StartError::Bus(error.to_string()))?;
        let (cache, drain): (Cache<String, Arc<Session>>, _) = (remembered.clone(), lifecycle.draining().clone());
        lifecycle.spawn(async move {
            while let Some(Some(message)) = drain.run_until_cancelled(closed.next()).await {
                cache.invalidate(&*String::from_utf8_lossy(&message.payload));
            }
        });
        Ok(Self {
            comms,
            most,
            remembered,
        })
    }

    /// Of a client that says too much of itself, only the revision is kept: records live for a day.
    pub async fn create(&self, id: &str, agent: AgentId, peer: InitializeRequestParams) -> Result<(), Failure> {
        let size = serde_json::to_vec(&peer).map_or(usize::MAX, |text| text.len());
        let peer = match size {
            0..=MAX_PEER => peer,
            _ => InitializeRequestParams::default().with_protocol_version(peer.protocol_version),
        };
        self.write(
            id,
            Session {
                agent,
                peer,
                touched_at: self.comms.clock.now(),
                marks: Marks::default(),
            },
        )
        .await
        .map(drop)
    }

    pub async fn find(&self, id: &str) -> Result<Option<Arc<Session>>, Failure> {
        if let Some(session) = self.remembered.get(id) {
            return Ok(Some(session));
        }
        let Some(session) = self.read(id).await? else {
            return Ok(None);
        };
        let now = self.comms.clock.now();
        if now - session.touched_at > TOUCH {
            let touched = Session {
                touched_at: now,
                ..session
            };
            return self.write(id, touched).await.map(Some);
        }
        Ok(Some(self.remember(id, session)))
    }

    /// As it stands in the store, whatever is remembered.
    pub async fn read(&self, id: &str) -> Result<Option<Session>, Failure> {
        let text = self.comms.kv.get(&keys::session(id)).await.map_err(unavailable)?;
        Ok(text.and_then(|text| serde_json::from_str::<Session>(&text).ok()))
    }

    /// Notes a change of the session's marks. `None`: nothing is new in it, or there is no such session.
    pub async fn note(&self, id: &str, change: &Change) -> Result<Option<Session>, Failure> {
        if let Some(session) = self.remembered.get(id)
            && !session.marks.clone().apply(change)
        {
            return Ok(None);
        }
        // Another replica may have noted something else since.
        let Some(mut session) = self.read(id).await? else {
            return Ok(None);
        };
        let is_new = session.marks.apply(change);
        if !is_new {
            self.remember(id, session);
            return Ok(None);
        }
        self.write(id, session.clone()).await?;
        self.tell(id).await;
        Ok(Some(session))
    }

    pub async fn close(&self, id: &str) -> Result<(), Failure> {
        let Some(session) = self.find(id).await? else {
            return Ok(());
        };
        let line = keys::agent_sessions(&session.agent);
        let (forgotten, left) = tokio::join!(self.forget(id), self.comms.kv.leave_line(&line, id));
        left.map_err(unavailable)?;
        forgotten
    }

    async fn forget(&self, id: &str) -> Result<(), Failure> {
        self.comms.kv.delete(&keys::session(id)).await.map_err(unavailable)?;
        self.remembered.invalidate(id);
        self.tell(id).await;
        Ok(())
    }

    async fn tell(&self, id: &str) {
        let payload = id.to_owned().into();
        if let Err(error) = self
            .comms
            .bus
            .publish(subjects::SESSION_CHANGED, Headers::new(), payload)
            .await
        {
            tracing::warn!(%error, "other replicas remember an old state of a session for some seconds");
        }
    }

    async fn write(&self, id: &str, session: Session) -> Result<Arc<Session>, Failure> {
        let text = serde_json::to_string(&session).map_err(|error| {
            tracing::error!(%error, "a session can't be written");
            Failure::internal()
        })?;
        let kv = &self.comms.kv;
        let (key, line) = (keys::session(id), keys::agent_sessions(&session.agent));
        let (written, surplus) = tokio::join!(kv.set(&key, &text, TTL), kv.line_up(&line, id, self.most, TTL));
        written.map_err(unavailable)?;
        for unused in surplus.map_err(unavailable)? {
            tracing::info!(agent = %session.agent, "an agent has too many sessions; the one unused for longest is ended");
            self.forget(&unused).await?;
        }
        Ok(self.remember(id, session))
    }

    fn remember(&self, id: &str, session: Session) -> Arc<Session> {
        let session = Arc::new(session);
        self.remembered.insert(id.to_owned(), session.clone());
        session
    }
}

fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "sessions can't be looked up");
    Failure::unavailable("sessions can't be looked up right now")
}
