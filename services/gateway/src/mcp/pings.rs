//! Pings that wait for their answers. Their ids say which replica waits, so the answer may be posted to any.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_domain::{AgentId, ReplicaId};
use rmcp::model::RequestId;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::oneshot;

/// A longer name is no replica of ours.
const MAX_REPLICA: usize = 32;

/// A client's answer, on its way to the replica that asked.
#[derive(Serialize, Deserialize)]
pub struct Answered {
    pub agent: AgentId,
    pub number: u64,
}

/// Which replica asked, and as its which request. `None`: no request of ours has such an id.
pub fn parse_id(id: &RequestId) -> Option<(ReplicaId, u64)> {
    let RequestId::String(text) = id else { return None };
    let (replica, number) = text.split_once('.')?;
    // It becomes part of a subject of the bus.
    let is_plain =
        !replica.is_empty() && replica.len() <= MAX_REPLICA && replica.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then_some((ReplicaId::from(replica), number.parse().ok()?))
}

#[derive(Clone, Default)]
pub struct Pings(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    last: u64,
    waiting: HashMap<u64, Waiting>,
}

struct Waiting {
    agent: AgentId,
    connection: String,
    answered: oneshot::Sender<()>,
}

impl Pings {
    /// The ping as text, and what waits for its answer.
    pub fn ask(&self, replica: &ReplicaId, agent: &AgentId, connection: &str) -> (String, Pong) {
        let (answered, answer) = oneshot::channel();
        let mut state = self.locked();
        state.last += 1;
        let number = state.last;
        state.waiting.insert(
            number,
            Waiting {
                agent: agent.clone(),
                connection: connection.to_owned(),
                answered,
            },
        );
        drop(state);
        let ping = json!({ "jsonrpc": "2.0", "id": format!("{replica}.{number}"), "method": "ping" });
        let pong = Pong {
            pings: self.clone(),
            number,
            answer,
        };
        (ping.to_string(), pong)
    }

    /// Only the agent that was asked can answer.
    pub fn answered(&self, answered: &Answered) {
        let mut state = self.locked();
        let is_theirs = |waiting: &Waiting| waiting.agent == answered.agent;
        if state.waiting.get(&answered.number).is_some_and(is_theirs)
            && let Some(waiting) = state.waiting.remove(&answered.number)
        {
            // Whoever waited may have given up meanwhile.
            waiting.answered.send(()).ok();
        }
    }

    /// The stream is gone: nobody will answer.
    pub fn abandon(&self, connection: &str) {
        self.locked()
            .waiting
            .retain(|_, waiting| waiting.connection != connection);
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer to come.
pub struct Pong {
    pings: Pings,
    number: u64,
    answer: oneshot::Receiver<()>,
}

impl Pong {
    /// False at once when the stream goes away, and when the time is over.
    pub async fn comes_within(mut self, deadline: Duration) -> bool {
        matches!(tokio::time::timeout(deadline, &mut self.answer).await, Ok(Ok(())))
    }
}

impl Drop for Pong {
    fn drop(&mut self) {
        self.pings.locked().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RequestId {
        RequestId::String(text.into())
    }

    #[test]
    fn ids_name_the_replica_that_waits() {
        assert_eq!(parse_id(&id("ab12cd34.7")), Some((ReplicaId::from("ab12cd34"), 7)));
        for foreign in ["", "7", ".7", "ab.", "a*.7", "a.b.7", "ab.x"] {
            assert_eq!(parse_id(&id(foreign)), None, "{foreign:?}");
        }
        assert_eq!(parse_id(&RequestId::Number(7)), None);
    }

    #[tokio::test]
    async fn only_who_was_asked_can_answer() {
        let (pings, replica) = (Pings::default(), ReplicaId::from("r"));
        let (text, pong) = pings.ask(&replica, &"agt_1".into(), "r.c");
        assert!(text.contains("\"r.1\""), "{text}");
        let answered = |agent: &str| Answered {
            agent: agent.into(),
            number: 1,
        };
        pings.answered(&answered("agt_2"));
        assert!(!pong.answer.is_terminated());
        pings.answered(&answered("agt_1"));
        assert!(pong.comes_within(Duration::from_secs(3)).await);
        assert!(pings.locked().waiting.is_empty());
    }

    #[tokio::test]
    async fn a_stream_that_goes_away_answers_at_once() {
        let pings = Pings::default();
        let (_, pong) = pings.ask(&ReplicaId::from("r"), &"agt_1".into(), "r.c");
        pings.abandon("r.c");
        assert!(!pong.comes_within(Duration::from_secs(3_600)).await);
        let (_, late) = pings.ask(&ReplicaId::from("r"), &"agt_1".into(), "r.c");
        assert!(!late.comes_within(Duration::ZERO).await);
        assert!(pings.locked().waiting.is_empty(), "nothing is left behind");
    }
}
