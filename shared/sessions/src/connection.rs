//! The registry's record of an open push stream, and the flags that a client's messages set on it.

use butt_dial_domain::{AgentId, ReplicaId, client_stream::CONNECT_GRACE, clock::Timestamp};
use chrono::TimeDelta;
use rmcp::model::InitializeRequestParams;
use serde::{Deserialize, Serialize};

/// Registry entry of an open stream. Delivery reads a part of it as its `Listener`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    pub id: String,
    pub agent: AgentId,
    /// Holds the socket, and is the only writer of this entry.
    pub replica: ReplicaId,
    /// `streamable` or `sse`.
    pub transport: String,
    /// The session of a streamable connection.
    pub session: Option<String>,
    /// The client's introduction; `None` before `initialize`.
    pub peer: Option<InitializeRequestParams>,
    #[serde(flatten)]
    pub flags: ClientFlags,
}

/// Distinguishes a listener from a client that makes one call. Sessions have flags too, because their streams come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientFlags {
    /// When the client sent `notifications/initialized`; nothing may be pushed before.
    #[serde(default)]
    pub initialized_at: Option<Timestamp>,
    #[serde(default)]
    pub uses_tools: bool,
    /// The client has subscribed to inbound events.
    #[serde(default)]
    pub is_subscribed: bool,
    /// The client has subscribed to changes of its inbox resource.
    #[serde(default)]
    pub watches_inbox: bool,
    #[serde(flatten)]
    pub reach: Reach,
}

/// The kinds of messages that are never pushed to a client, because its token is not granted them. Delivery and the voice relay read it in the registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    #[serde(default)]
    pub no_events: bool,
    /// No turn of a call, and no sampling request.
    #[serde(default)]
    pub no_calls: bool,
}

/// A change that a client's message makes to its stream or session. Travels between replicas: variant names are wire.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum ClientChange {
    Introduced(Box<InitializeRequestParams>),
    Initialized(Timestamp),
    UsesTools,
    Subscribed(bool),
    WatchesInbox(bool),
}

impl Connection {
    /// Applies a change. Returns false when it changes nothing.
    pub fn apply(&mut self, change: &ClientChange) -> bool {
        if let ClientChange::Introduced(peer) = change {
            self.peer = Some((**peer).clone());
            return true;
        }
        self.flags.apply(change)
    }

    /// Returns whether the client accepts sampling requests.
    pub fn can_sample(&self) -> bool {
        let peer = self.peer.as_ref();
        !self.flags.reach.no_calls
            && self.flags.initialized_at.is_some()
            && peer.is_some_and(|peer| peer.capabilities.sampling.is_some())
    }
}

impl ClientFlags {
    /// Applies a change. Returns false when it changes nothing.
    pub fn apply(&mut self, change: &ClientChange) -> bool {
        let old = self.clone();
        match change {
            ClientChange::Introduced(_) => {}
            ClientChange::Initialized(at) => self.initialized_at = self.initialized_at.or(Some(*at)),
            ClientChange::UsesTools => self.uses_tools = true,
            ClientChange::Subscribed(yes) => self.is_subscribed = *yes,
            ClientChange::WatchesInbox(yes) => self.watches_inbox = *yes,
        }
        *self != old
    }

    /// Returns the time until the client counts as a listener, or `None` when it is none. Delivery applies the same rule.
    pub fn ready_in(&self, now: Timestamp) -> Option<TimeDelta> {
        let initialized = self.initialized_at?;
        let listens = !self.reach.no_events && (!self.uses_tools || self.is_subscribed);
        listens.then(|| (initialized + CONNECT_GRACE - now).max(TimeDelta::zero()))
    }

    /// Returns the changes that a stream needs after its session became `newer` while the stream was being opened.
    /// The stream counts as initialized from `now`.
    pub fn changes_to(&self, newer: &Self, now: Timestamp) -> Vec<ClientChange> {
        let mut changes = Vec::new();
        if self.initialized_at.is_none() && newer.initialized_at.is_some() {
            changes.push(ClientChange::Initialized(now));
        }
        if newer.uses_tools && !self.uses_tools {
            changes.push(ClientChange::UsesTools);
        }
        if newer.is_subscribed != self.is_subscribed {
            changes.push(ClientChange::Subscribed(newer.is_subscribed));
        }
        if newer.watches_inbox != self.watches_inbox {
            changes.push(ClientChange::WatchesInbox(newer.watches_inbox));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone as _, Utc};

    use super::*;

    fn at(second: u32) -> Timestamp {
        Utc.with_ymd_and_hms(2026, 11, 22, 9, 0, second).unwrap()
    }

    #[test]
    fn applies_a_change_once() {
        let mut flags = ClientFlags::default();
        assert!(flags.apply(&ClientChange::Initialized(at(0))));
        assert!(
            !flags.apply(&ClientChange::Initialized(at(1))),
            "the first initialization counts"
        );
        assert!(flags.apply(&ClientChange::UsesTools));
        assert!(!flags.apply(&ClientChange::UsesTools));
    }

    #[test]
    fn tool_caller_is_ready_only_after_subscribing() {
        let mut flags = ClientFlags::default();
        assert_eq!(flags.ready_in(at(0)), None);
        flags.apply(&ClientChange::Initialized(at(0)));
        assert_eq!(flags.ready_in(at(0)), Some(TimeDelta::seconds(2)));
        flags.apply(&ClientChange::UsesTools);
        assert_eq!(flags.ready_in(at(0)), None);
        flags.apply(&ClientChange::Subscribed(true));
        assert_eq!(flags.ready_in(at(9)), Some(TimeDelta::zero()));
    }

    #[test]
    fn stream_catches_up_with_its_session() {
        let mut newer = ClientFlags::default();
        newer.apply(&ClientChange::Initialized(at(0)));
        newer.apply(&ClientChange::Subscribed(true));
        let mut stream = ClientFlags::default();
        for change in stream.clone().changes_to(&newer, at(5)) {
            stream.apply(&change);
        }
        assert!(stream.is_subscribed);
        assert_eq!(
            stream.initialized_at,
            Some(at(5)),
            "the grace period starts with the stream"
        );
        assert!(stream.changes_to(&newer, at(6)).is_empty());
    }
}
