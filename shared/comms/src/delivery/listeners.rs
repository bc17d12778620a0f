//! Who listens right now: open push streams, as the gateways keep them in the shared registry.

use butt_dial_domain::{AgentId, ReplicaId, clock::Timestamp, keys, ports::kv::KvError};
use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;

use crate::Comms;

/// A client that only makes one call opens a stream too, and is gone in a moment. (The Python client does it for each call;
/// it looks like a listener in every other way.)
pub const SETTLING: TimeDelta = TimeDelta::seconds(2);

/// What the registry says of an open stream, as far as delivery needs it. Gateways write more into the same entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Listener {
    /// The connection's id.
    pub id: String,
    pub agent: AgentId,
    /// The gateway that holds its socket.
    pub replica: ReplicaId,
    /// When the client said that it is initialized; until then nothing may be pushed.
    #[serde(default)]
    pub initialized_at: Option<Timestamp>,
    /// It has called tools, so it may well not look at what is pushed.
    #[serde(default)]
    pub uses_tools: bool,
    /// It has asked for what comes in: by the logging level, or by a subscription.
    #[serde(default)]
    pub is_subscribed: bool,
    /// What the client said of itself; unknown until it has.
    #[serde(default)]
    pub peer: Option<Peer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Peer {
    #[serde(default)]
    pub capabilities: Capabilities,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Capabilities {
    pub sampling: Option<Value>,
}

impl Listener {
    /// Whether its model may be asked.
    pub fn samples(&self) -> bool {
        let peer = self.peer.as_ref();
        peer.is_some_and(|peer| peer.capabilities.sampling.is_some())
    }

    /// Whether what is pushed to it counts as delivered, once the client has answered a ping.
    pub fn is_live(&self, now: Timestamp) -> bool {
        let settled = self.initialized_at.is_some_and(|at| now - at >= SETTLING);
        settled && (!self.uses_tools || self.is_subscribed)
    }
}

/// The agent's live listeners, the latest first.
pub async fn find_live(comms: &Comms, agent: &AgentId) -> Result<Vec<Listener>, KvError> {
    let mut listeners = find_initialized(comms, agent).await?;
    let now = comms.clock.now();
    listeners.retain(|listener| listener.is_live(now));
    Ok(listeners)
}

/// All of the agent's clients that have a stream open and may be written to, the latest first.
pub async fn find_initialized(comms: &Comms, agent: &AgentId) -> Result<Vec<Listener>, KvError> {
    let members = comms.kv.members(&keys::agent_connections(agent)).await?;
    if members.is_empty() {
        return Ok(Vec::new());
    }
    let entries: Vec<String> = members.iter().map(|id| keys::connection(id)).collect();
    let mut listeners: Vec<Listener> = comms
        .kv
        .get_many(&entries)
        .await?
        .into_iter()
        .filter_map(|text| serde_json::from_str::<Listener>(&text?).ok())
        .filter(|listener| &listener.agent == agent && listener.initialized_at.is_some())
        .collect();
    listeners.sort_by_key(|listener| std::cmp::Reverse(listener.initialized_at));
    Ok(listeners)
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone as _, Utc};

    use super::*;

    #[test]
    fn only_who_listens_is_live() {
        let now = Utc.with_ymd_and_hms(2026, 11, 22, 9, 0, 0).unwrap();
        let listener = Listener {
            id: "r.1".into(),
            agent: "agt_1".into(),
            replica: ReplicaId::from("r"),
            initialized_at: Some(now - SETTLING),
            uses_tools: false,
            is_subscribed: false,
            peer: None,
        };
        assert!(listener.is_live(now));
        let young = Listener {
            initialized_at: Some(now - TimeDelta::milliseconds(1_999)),
            ..listener.clone()
        };
        assert!(!young.is_live(now), "it may be a single call");
        let silent = Listener {
            initialized_at: None,
            ..listener.clone()
        };
        assert!(!silent.is_live(now));
        let caller = Listener {
            uses_tools: true,
            ..listener
        };
        assert!(!caller.is_live(now));
        assert!(
            Listener {
                is_subscribed: true,
                ..caller
            }
            .is_live(now)
        );
    }
}
