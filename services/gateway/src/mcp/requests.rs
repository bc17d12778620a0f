//! Requests to clients that wait for their answers: pings, and questions to a client's model. Their ids say which replica
//! waits, so the answer may be posted to any.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_comms::calls::sampling::Asked;
use butt_dial_domain::{AgentId, ReplicaId};
use rmcp::model::RequestId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// A longer name is no replica of ours.
const MAX_REPLICA: usize = 32;

/// A client's answer, on its way to the replica that asked.
#[derive(Serialize, Deserialize)]
pub struct Answered {
    pub agent: AgentId,
    pub number: u64,
    pub answer: Asked,
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

/// What a client is asked, as JSON-RPC has it.
pub struct Question<'a> {
    pub method: &'a str,
    pub params: Option<&'a Value>,
    /// The asker's own name for it, to withdraw it by.
    pub name: Option<&'a str>,
}

impl Question<'_> {
    pub const PING: Self = Question {
        method: "ping",
        params: None,
        name: None,
    };
}

#[derive(Clone)]
pub struct Requests {
    replica: ReplicaId,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    last: u64,
    waiting: HashMap<u64, Waiting>,
    /// By the asker's own name.
    named: HashMap<String, u64>,
}

struct Waiting {
    agent: AgentId,
    connection: String,
    name: Option<String>,
    answered: oneshot::Sender<Asked>,
}

impl State {
    fn remove(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        if let Some(name) = &waiting.name {
            self.named.remove(name);
        }
        Some(waiting)
    }
}

/// A request that is not wanted any more: whose client is to be told, and its id.
pub struct Withdrawn {
    pub agent: AgentId,
    pub connection: String,
    pub id: String,
}

impl Withdrawn {
    /// The notification that tells the client.
    pub fn notification(&self, reason: &str) -> String {
        let params = json!({ "requestId": self.id, "reason": reason });
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }).to_string()
    }
}

impl Requests {
    pub fn new(replica: ReplicaId) -> Self {
        Self {
            replica,
            state: Arc::default(),
        }
    }

    /// The request as text, and what waits for its answer.
    pub fn ask(&self, agent: &AgentId, connection: &str, question: &Question<'_>) -> (String, Coming) {
        let (answered, answer) = oneshot::channel();
        let mut state = self.locked();
        state.last += 1;
        let number = state.last;
        let waiting = Waiting {
            agent: agent.clone(),
            connection: connection.to_owned(),
            name: question.name.map(str::to_owned),
            answered,
        };
        state.waiting.insert(number, waiting);
        if let Some(name) = question.name {
            state.named.insert(name.to_owned(), number);
        }
        drop(state);
        let mut request = json!({ "jsonrpc": "2.0", "id": self.id(number), "method": question.method });
        if let Some(params) = question.params {
            request["params"] = params.clone();
        }
        let coming = Coming {
            requests: self.clone(),
            number,
            answer,
        };
        (request.to_string(), coming)
    }

    /// Only the agent that was asked can answer.
    pub fn answered(&self, answered: Answered) {
        let mut state = self.locked();
        let is_theirs = |waiting: &Waiting| waiting.agent == answered.agent;
        if state.waiting.get(&answered.number).is_some_and(is_theirs)
            && let Some(waiting) = state.remove(answered.number)
        {
            // Whoever waited may have given up meanwhile.
            waiting.answered.send(answered.answer).ok();
        }
    }

    /// Nobody wants the answer any more. `None`: it is there already, or will never come.
    pub fn withdraw(&self, name: &str) -> Option<Withdrawn> {
        let number = *self.locked().named.get(name)?;
        self.give_up(number)
    }

    fn give_up(&self, number: u64) -> Option<Withdrawn> {
        let waiting = self.locked().remove(number)?;
        Some(Withdrawn {
            agent: waiting.agent,
            connection: waiting.connection,
            id: self.id(number),
        })
    }

    /// The stream is gone: nobody will answer.
    pub fn abandon(&self, connection: &str) {
        let mut state = self.locked();
        let theirs: Vec<u64> = state
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.connection == connection)
            .map(|(number, _)| *number)
            .collect();
        for number in theirs {
            state.remove(number);
        }
    }

    fn id(&self, number: u64) -> String {
        format!("{}.{number}", self.replica)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why no answer came.
pub enum Missing {
    /// The stream is closed, or somebody has withdrawn the request: at once.
    Gone,
    /// The time is over; the client still works at it, where it is not told.
    Late(Option<Withdrawn>),
}

/// An answer to come.
pub struct Coming {
    requests: Requests,
    number: u64,
    answer: oneshot::Receiver<Asked>,
}

impl Coming {
    pub async fn within(mut self, deadline: Duration) -> Result<Asked, Missing> {
        match tokio::time::timeout(deadline, &mut self.answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Missing::Gone),
            Err(_) => Err(Missing::Late(self.requests.give_up(self.number))),
        }
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.requests.locked().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RequestId {
        RequestId::String(text.into())
    }

    fn requests() -> Requests {
        Requests::new(ReplicaId::from("r"))
    }

    fn is_empty(requests: &Requests) -> bool {
        let state = requests.locked();
        state.waiting.is_empty() && state.named.is_empty()
    }

    const LONG: Duration = Duration::from_secs(3_600);

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
        let requests = requests();
        let params = json!({ "maxTokens": 1 });
        let question = Question {
            method: "sampling/createMessage",
            params: Some(&params),
            name: Some("a"),
        };
        let (text, coming) = requests.ask(&"agt_1".into(), "r.c", &question);
        let sent: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&sent["id"], &sent["params"]["maxTokens"]),
            (&json!("r.1"), &json!(1)),
            "{text}"
        );
        let answered = |agent: &str| Answered {
            agent: agent.into(),
            number: 1,
            answer: Asked::Result(json!({ "by": agent })),
        };
        requests.answered(answered("agt_2"));
        requests.answered(answered("agt_1"));
        let answer = coming.within(LONG).await;
        assert!(matches!(answer, Ok(Asked::Result(value)) if value["by"] == "agt_1"));
        assert!(is_empty(&requests));
    }

    #[tokio::test]
    async fn a_stream_that_goes_away_answers_at_once() {
        let requests = requests();
        let (_, coming) = requests.ask(&"agt_1".into(), "r.c", &Question::PING);
        requests.abandon("r.c");
        assert!(matches!(coming.within(LONG).await, Err(Missing::Gone)));
        assert!(is_empty(&requests), "nothing is left behind");
    }

    #[tokio::test]
    async fn what_is_late_or_not_wanted_is_told_to_the_client_once() {
        let requests = requests();
        let named = Question {
            name: Some("a"),
            ..Question::PING
        };
        let (_, late) = requests.ask(&"agt_1".into(), "r.c", &named);
        let Err(Missing::Late(Some(withdrawn))) = late.within(Duration::ZERO).await else {
            panic!("nobody answers");
        };
        let told: Value = serde_json::from_str(&withdrawn.notification("too late")).unwrap();
        assert_eq!(told["params"], json!({ "requestId": "r.1", "reason": "too late" }));
        assert!(requests.withdraw("a").is_none(), "it has been told");

        let (_, unwanted) = requests.ask(&"agt_1".into(), "r.c", &named);
        assert_eq!(requests.withdraw("a").unwrap().id, "r.2");
        assert!(matches!(unwanted.within(LONG).await, Err(Missing::Gone)));
        assert!(is_empty(&requests));
    }
}
