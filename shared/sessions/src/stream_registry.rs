//! Registry entries of push streams in the key-value store. Any replica finds a stream by them; only the replica that holds
//! the socket writes them.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    AgentId, Failure, ReplicaId, keys,
    ports::kv::{Kv, KvError},
};

use crate::{connection::Connection, ports::registry_unavailable};

/// An entry that is not renewed for this long belongs to a replica that has crashed.
const TTL: Duration = Duration::from_secs(45);
/// The set of an agent's streams outlives their entries.
const MEMBERS_TTL: Duration = Duration::from_secs(180);
/// Lifetime of the marker that shows whether the store lost its contents.
const MARKER_TTL: Duration = Duration::from_secs(3_600);

#[derive(Clone)]
pub(crate) struct StreamRegistry(Arc<dyn Kv>);

impl StreamRegistry {
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self(kv)
    }

    pub async fn write(&self, connection: &Connection) -> Result<(), Failure> {
        let text = serde_json::to_string(connection).map_err(|error| {
            tracing::error!(%error, "stream entry not serializable");
            Failure::internal()
        })?;
        let written = self.0.set(&keys::connection(&connection.id), &text, TTL).await;
        written.map_err(registry_unavailable)
    }

    pub async fn add_member(&self, agent: &AgentId, id: &str) -> Result<(), Failure> {
        let members = keys::agent_connections(agent);
        let added = self.0.add_member(&members, id, MEMBERS_TTL).await;
        added.map_err(registry_unavailable)
    }

    /// Removes the entry. An entry that can't be removed expires.
    pub async fn remove(&self, agent: &AgentId, id: &str) {
        let removed = self.0.delete(&keys::connection(id)).await;
        let removed = removed.and(self.0.remove_member(&keys::agent_connections(agent), id).await);
        if let Err(error) = removed {
            tracing::debug!(%error, "entry of closed stream left to expire");
        }
    }

    pub async fn find(&self, id: &str) -> Result<Option<Connection>, Failure> {
        let text = self.0.get(&keys::connection(id)).await.map_err(registry_unavailable)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    /// Lists the open streams of a session on all replicas.
    pub async fn list_for_session(&self, agent: &AgentId, session: &str) -> Result<Vec<Connection>, Failure> {
        let members = self.0.members(&keys::agent_connections(agent)).await;
        let members = members.map_err(registry_unavailable)?;
        let entries: Vec<String> = members.iter().map(|id| keys::connection(id)).collect();
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.0.get_many(&entries).await.map_err(registry_unavailable)?;
        Ok(found
            .into_iter()
            .filter_map(|text| serde_json::from_str::<Connection>(&text?).ok())
            .filter(|connection| &connection.agent == agent && connection.session.as_deref() == Some(session))
            .collect())
    }

    /// Returns true when the store answers and the replica's marker is missing: the store was restarted empty.
    pub async fn is_marker_missing(&self, replica: &ReplicaId) -> bool {
        matches!(self.0.get(&keys::replica_mark(replica)).await, Ok(None))
    }

    pub async fn set_marker(&self, replica: &ReplicaId) -> Result<(), KvError> {
        self.0.set(&keys::replica_mark(replica), "1", MARKER_TTL).await
    }
}
