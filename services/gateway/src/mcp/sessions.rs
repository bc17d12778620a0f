//! Records of Streamable HTTP sessions: shared by all replicas, remembered for a moment by each.

use std::time::Duration;

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

pub const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");

/// An unused session is forgotten after a day.
const TTL: Duration = Duration::from_secs(86_400);
/// How long a replica trusts what it remembers, should it miss that a session was closed.
const CACHE_TTL: Duration = Duration::from_secs(5);
const CACHE_SIZE: u64 = 100_000;
/// Bytes.
const MAX_PEER: usize = 8 * 1024;
/// A session in use is written again this often, so that it does not end.
const TOUCH: chrono::TimeDelta = chrono::TimeDelta::minutes(10);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    pub agent: AgentId,
    /// What the client said of itself, with the negotiated revision.
    pub peer: InitializeRequestParams,
    pub touched_at: Timestamp,
}

#[derive(Clone)]
pub struct Sessions {
    comms: Comms,
    remembered: Cache<String, Session>,
}

impl Sessions {
    pub async fn start(comms: Comms, lifecycle: &Lifecycle) -> Result<Self, StartError> {
        let remembered = Cache::builder()
            .max_capacity(CACHE_SIZE)
            .time_to_live(CACHE_TTL)
            .build();
        let closed = comms.bus.subscribe(subjects::SESSION_CLOSED).await;
        let mut closed = closed.map_err(|error| StartError::Bus(error.to_string()))?;
        let (cache, drain): (Cache<String, Session>, _) = (remembered.clone(), lifecycle.draining().clone());
        lifecycle.spawn(async move {
            while let Some(Some(message)) = drain.run_until_cancelled(closed.next()).await {
                cache.invalidate(&*String::from_utf8_lossy(&message.payload));
            }
        });
        Ok(Self { comms, remembered })
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
            },
        )
        .await
    }

    pub async fn find(&self, id: &str) -> Result<Option<Session>, Failure> {
        if let Some(session) = self.remembered.get(id) {
            return Ok(Some(session));
        }
        let text = self.comms.kv.get(&keys::session(id)).await.map_err(unavailable)?;
        let Some(session) = text.and_then(|text| serde_json::from_str::<Session>(&text).ok()) else {
            return Ok(None);
        };
        let now = self.comms.clock.now();
        if now - session.touched_at > TOUCH {
            self.write(
                id,
                Session {
                    touched_at: now,
                    ..session.clone()
                },
            )
            .await?;
        } else {
            self.remembered.insert(id.to_owned(), session.clone());
        }
        Ok(Some(session))
    }

    pub async fn close(&self, id: &str) -> Result<(), Failure> {
        self.comms.kv.delete(&keys::session(id)).await.map_err(unavailable)?;
        self.remembered.invalidate(id);
        let payload = id.to_owned().into();
        if let Err(error) = self
            .comms
            .bus
            .publish(subjects::SESSION_CLOSED, Headers::new(), payload)
            .await
        {
            tracing::warn!(%error, "other replicas remember a closed session for some seconds");
        }
        Ok(())
    }

    async fn write(&self, id: &str, session: Session) -> Result<(), Failure> {
        let text = serde_json::to_string(&session).map_err(|error| {
            tracing::error!(%error, "a session can't be written");
            Failure::internal()
        })?;
        self.comms
            .kv
            .set(&keys::session(id), &text, TTL)
            .await
            .map_err(unavailable)?;
        self.remembered.insert(id.to_owned(), session);
        Ok(())
    }
}

fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "sessions can't be looked up");
    Failure::unavailable("sessions can't be looked up right now")
}
