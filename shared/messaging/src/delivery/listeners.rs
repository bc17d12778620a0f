//! Listeners: the agent's open push streams, as gateways register them in the key-value store.

use std::collections::HashSet;

use butt_dial_domain::{
    AgentId, ReplicaId,
    client_stream::{CONNECT_GRACE, PushOutcome},
    clock::Timestamp,
    keys,
    ports::kv::KvError,
};
use serde::Deserialize;
use serde_json::Value;

use super::Delivery;

/// The fields of a registered stream that delivery needs. Gateways write more into the same entry.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Listener {
    /// The connection's id.
    pub id: String,
    pub agent: AgentId,
    /// The gateway that holds its socket.
    pub replica: ReplicaId,
    /// The session of the stream, which can have several. `None`: a stream of the legacy transport is one client.
    #[serde(default)]
    pub session: Option<String>,
    /// When the client sent `initialized`. No event may be pushed before that.
    #[serde(default)]
    pub initialized_at: Option<Timestamp>,
    /// The client has called tools, so it may not read what is pushed.
    #[serde(default)]
    pub uses_tools: bool,
    /// The client asked for events, by the logging level or a subscription.
    #[serde(default)]
    pub is_subscribed: bool,
    /// Its token is not granted events.
    #[serde(default)]
    pub no_events: bool,
    /// Its token is not granted calls.
    #[serde(default)]
    pub no_calls: bool,
    /// The client's description of itself, once it has sent it.
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
    /// Returns whether the client supports sampling.
    pub fn samples(&self) -> bool {
        let peer = self.peer.as_ref();
        !self.no_calls && peer.is_some_and(|peer| peer.capabilities.sampling.is_some())
    }

    /// Returns whether turns of calls are pushed to the client.
    pub fn hears_calls(&self, now: Timestamp) -> bool {
        !self.no_calls && self.is_live(now)
    }

    /// Returns whether a push that the client confirms counts as delivered.
    pub fn is_live(&self, now: Timestamp) -> bool {
        let is_past_grace = self.initialized_at.is_some_and(|at| now - at >= CONNECT_GRACE);
        is_past_grace && !self.no_events && (!self.uses_tools || self.is_subscribed)
    }
}

/// The sessions that may have received a message. A client gets a message on one of its streams (MCP 2025-11-25, Multiple
/// Connections), also when it does not confirm it.
#[derive(Default)]
pub struct ReachedSessions(HashSet<String>);

impl ReachedSessions {
    /// Returns whether the listener's session may have the message.
    pub fn contains(&self, listener: &Listener) -> bool {
        let session = listener.session.as_ref();
        session.is_some_and(|session| self.0.contains(session))
    }

    /// Records the outcome of a push to the listener.
    pub fn record(&mut self, listener: &Listener, outcome: PushOutcome) {
        if outcome != PushOutcome::NotSent {
            self.0.extend(listener.session.clone());
        }
    }
}

impl Delivery {
    /// The agent's live listeners, the latest first.
    pub(super) async fn find_live_listeners(&self, agent: &AgentId) -> Result<Vec<Listener>, KvError> {
        let mut listeners = self.find_initialized_listeners(agent).await?;
        let now = self.clock.now();
        listeners.retain(|listener| listener.is_live(now));
        Ok(listeners)
    }

    /// The agent's initialized clients with an open stream, the latest first.
    pub async fn find_initialized_listeners(&self, agent: &AgentId) -> Result<Vec<Listener>, KvError> {
        let members = self.kv.members(&keys::agent_connections(agent)).await?;
        if members.is_empty() {
            return Ok(Vec::new());
        }
        let entries: Vec<String> = members.iter().map(|id| keys::connection(id)).collect();
        let mut listeners: Vec<Listener> = self
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
}

#[cfg(test)]
mod tests {
    use chrono::{TimeDelta, TimeZone as _, Utc};

    use super::*;

    #[test]
    fn sessions_that_may_have_a_message_get_no_other() {
        let listener = |session: Option<&str>| Listener {
            id: "con_1".into(),
            agent: "agt_1".into(),
            replica: ReplicaId::from("r"),
            session: session.map(str::to_owned),
            initialized_at: None,
            uses_tools: false,
            is_subscribed: false,
            no_events: false,
            no_calls: false,
            peer: None,
        };
        let mut reached = ReachedSessions::default();
        reached.record(&listener(Some("gone")), PushOutcome::NotSent);
        reached.record(&listener(Some("slow")), PushOutcome::Unconfirmed);
        reached.record(&listener(None), PushOutcome::Unconfirmed);
        let contains = |session| reached.contains(&listener(session));
        assert_eq!(
            [contains(Some("slow")), contains(Some("gone")), contains(None)],
            [true, false, false]
        );
    }

    #[test]
    fn counts_only_listening_clients_as_live() {
        let now = Utc.with_ymd_and_hms(2026, 11, 22, 9, 0, 0).unwrap();
        let listener = Listener {
            id: "r.1".into(),
            agent: "agt_1".into(),
            replica: ReplicaId::from("r"),
            session: None,
            initialized_at: Some(now - CONNECT_GRACE),
            uses_tools: false,
            is_subscribed: false,
            no_events: false,
            no_calls: false,
            peer: None,
        };
        assert!(listener.is_live(now));
        let young = Listener {
            initialized_at: Some(now - TimeDelta::milliseconds(1_999)),
            ..listener.clone()
        };
        assert!(!young.is_live(now), "it may be a client that makes a single call");
        let silent = Listener {
            initialized_at: None,
            ..listener.clone()
        };
        assert!(!silent.is_live(now));
        let unheard = Listener {
            no_calls: true,
            ..listener.clone()
        };
        assert!(unheard.is_live(now) && !unheard.hears_calls(now));
        let restricted = Listener {
            no_events: true,
            is_subscribed: true,
            ..listener.clone()
        };
        assert!(!restricted.is_live(now));
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
