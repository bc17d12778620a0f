//! An open push stream as the shared registry knows it, and what its client has shown of itself so far.

use butt_dial_comms::delivery::listeners::SETTLING;
use butt_dial_domain::{AgentId, ReplicaId, clock::Timestamp};
use chrono::TimeDelta;
use rmcp::model::InitializeRequestParams;
use serde::{Deserialize, Serialize};

/// What the registry says of an open stream. Delivery reads a part of it: `delivery::listeners::Listener`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    pub id: String,
    pub agent: AgentId,
    /// Holds the socket, and alone writes this entry.
    pub replica: ReplicaId,
    /// `streamable` or `sse`.
    pub transport: String,
    /// The session of a streamable connection.
    pub session: Option<String>,
    /// What the client said of itself; unknown until it has.
    pub peer: Option<InitializeRequestParams>,
    #[serde(flatten)]
    pub marks: Marks,
}

/// What tells a listener from a client that makes one call. A session has them too: its streams come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// When the client said that it is initialized; until then nothing may be pushed.
    #[serde(default)]
    pub initialized_at: Option<Timestamp>,
    #[serde(default)]
    pub uses_tools: bool,
    /// It has asked for what comes in.
    #[serde(default)]
    pub is_subscribed: bool,
    /// It wants to be told when its inbox has changed.
    #[serde(default)]
    pub watches_inbox: bool,
}

/// Something that a client's message says about its stream or its session.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Change {
    Introduced(Box<InitializeRequestParams>),
    Initialized(Timestamp),
    UsesTools,
    Subscribed(bool),
    WatchesInbox(bool),
}

impl Connection {
    /// False when nothing is new in it.
    pub fn apply(&mut self, change: &Change) -> bool {
        if let Change::Introduced(peer) = change {
            self.peer = Some((**peer).clone());
            return true;
        }
        self.marks.apply(change)
    }

    /// Whether its client's model may be asked.
    pub fn samples(&self) -> bool {
        let peer = self.peer.as_ref();
        self.marks.initialized_at.is_some() && peer.is_some_and(|peer| peer.capabilities.sampling.is_some())
    }
}

impl Marks {
    pub fn apply(&mut self, change: &Change) -> bool {
        let old = self.clone();
        match change {
            Change::Introduced(_) => {}
            Change::Initialized(at) => self.initialized_at = self.initialized_at.or(Some(*at)),
            Change::UsesTools => self.uses_tools = true,
            Change::Subscribed(yes) => self.is_subscribed = *yes,
            Change::WatchesInbox(yes) => self.watches_inbox = *yes,
        }
        *self != old
    }

    /// When it counts as a listener, from now on, as far as is known; delivery decides it by the same rule.
    pub fn settles_in(&self, now: Timestamp) -> Option<TimeDelta> {
        let initialized = self.initialized_at?;
        let listens = !self.uses_tools || self.is_subscribed;
        listens.then(|| (initialized + SETTLING - now).max(TimeDelta::zero()))
    }

    /// What a stream has to learn that was opened while its session changed. It is initialized from now on.
    pub fn changes_to(&self, newer: &Self, now: Timestamp) -> Vec<Change> {
        let mut changes = Vec::new();
        if self.initialized_at.is_none() && newer.initialized_at.is_some() {
            changes.push(Change::Initialized(now));
        }
        if newer.uses_tools && !self.uses_tools {
            changes.push(Change::UsesTools);
        }
        if newer.is_subscribed != self.is_subscribed {
            changes.push(Change::Subscribed(newer.is_subscribed));
        }
        if newer.watches_inbox != self.watches_inbox {
            changes.push(Change::WatchesInbox(newer.watches_inbox));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_comms::delivery::listeners::Listener;
    use chrono::{TimeZone as _, Utc};

    use super::*;

    fn at(second: u32) -> Timestamp {
        Utc.with_ymd_and_hms(2026, 11, 22, 9, 0, second).unwrap()
    }

    #[test]
    fn delivery_reads_the_entry_that_the_gateway_writes() {
        let mut peer = InitializeRequestParams::default();
        peer.capabilities.sampling = Some(Default::default());
        let connection = Connection {
            id: "r.1".into(),
            agent: "agt_1".into(),
            replica: ReplicaId::from("r"),
            transport: "sse".into(),
            session: None,
            peer: Some(peer),
            marks: Marks {
                initialized_at: Some(at(0)),
                uses_tools: true,
                is_subscribed: true,
                watches_inbox: false,
            },
        };
        let text = serde_json::to_string(&connection).unwrap();
        let listener: Listener = serde_json::from_str(&text).unwrap();
        assert!(listener.is_live(at(2)) && listener.uses_tools && listener.samples());
        let read: Connection = serde_json::from_str(&text).unwrap();
        assert_eq!(read.marks, connection.marks);
    }

    #[test]
    fn a_change_is_noted_once() {
        let mut marks = Marks::default();
        assert!(marks.apply(&Change::Initialized(at(0))));
        assert!(!marks.apply(&Change::Initialized(at(1))), "the first time counts");
        assert!(marks.apply(&Change::UsesTools));
        assert!(!marks.apply(&Change::UsesTools));
    }

    #[test]
    fn who_calls_tools_settles_only_by_subscribing() {
        let mut marks = Marks::default();
        assert_eq!(marks.settles_in(at(0)), None);
        marks.apply(&Change::Initialized(at(0)));
        assert_eq!(marks.settles_in(at(0)), Some(TimeDelta::seconds(2)));
        marks.apply(&Change::UsesTools);
        assert_eq!(marks.settles_in(at(0)), None);
        marks.apply(&Change::Subscribed(true));
        assert_eq!(marks.settles_in(at(9)), Some(TimeDelta::zero()));
    }

    #[test]
    fn a_stream_learns_what_its_session_became() {
        let mut newer = Marks::default();
        newer.apply(&Change::Initialized(at(0)));
        newer.apply(&Change::Subscribed(true));
        let mut stream = Marks::default();
        for change in stream.clone().changes_to(&newer, at(5)) {
            stream.apply(&change);
        }
        assert!(stream.is_subscribed);
        assert_eq!(stream.initialized_at, Some(at(5)), "a stream settles by its own time");
        assert!(stream.changes_to(&newer, at(6)).is_empty());
    }
}
