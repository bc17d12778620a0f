//! Requests to clients that wait for a response: pings, and requests to a client's model. A request's id names the replica
//! that waits, so a client may post its response to any replica.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_domain::{AgentId, ReplicaId, client_stream::ClientResponse};
use rmcp::model::RequestId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::connection::Reach;

/// Replica ids are shorter; a longer one comes from a foreign request.
const MAX_REPLICA_LEN: usize = 32;

/// A client's response on its way to the replica that waits for it. Field names are part of the wire.
#[derive(Serialize, Deserialize)]
pub(crate) struct ResponseEnvelope {
    pub agent: AgentId,
    pub number: u64,
    #[serde(rename = "answer")]
    pub response: ClientResponse,
    /// Of the client that responds.
    #[serde(default)]
    pub reach: Reach,
}

/// Returns the replica that sent the request and its number there. `None`: the id is not one that replicas assign.
pub(crate) fn parse_id(id: &RequestId) -> Option<(ReplicaId, u64)> {
    let RequestId::String(text) = id else { return None };
    let (replica, number) = text.split_once('.')?;
    // It becomes part of a subject of the bus.
    let is_plain = !replica.is_empty()
        && replica.len() <= MAX_REPLICA_LEN
        && replica.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then_some((ReplicaId::from(replica), number.parse().ok()?))
}

/// A JSON-RPC request to send to a client.
pub(crate) struct OutgoingRequest<'a> {
    pub method: &'a str,
    pub params: Option<&'a Value>,
    /// The requester's own name for the request; cancellation uses it.
    pub name: Option<&'a str>,
}

impl OutgoingRequest<'_> {
    pub const PING: Self = OutgoingRequest {
        method: "ping",
        params: None,
        name: None,
    };
}

/// The requests of this replica that wait for a response. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PendingRequests {
    replica: ReplicaId,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    last: u64,
    waiting: HashMap<u64, Waiting>,
    /// Numbers by the requester's name.
    named: HashMap<String, u64>,
}

struct Waiting {
    agent: AgentId,
    connection: String,
    name: Option<String>,
    response: oneshot::Sender<ClientResponse>,
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

/// A request that was cancelled while the client still works on it.
pub(crate) struct CancelledRequest {
    pub agent: AgentId,
    pub connection: String,
    pub id: String,
}

impl CancelledRequest {
    /// Returns the `notifications/cancelled` message for the client.
    pub fn notification(&self, reason: &str) -> String {
        let params = json!({ "requestId": self.id, "reason": reason });
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params }).to_string()
    }
}

impl PendingRequests {
    pub fn new(replica: ReplicaId) -> Self {
        Self {
            replica,
            state: Arc::default(),
        }
    }

    /// Registers a request. Returns its text and the pending response.
    pub fn register(
        &self,
        agent: &AgentId,
        connection: &str,
        request: &OutgoingRequest<'_>,
    ) -> (String, PendingResponse) {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.locked();
        state.last += 1;
        let number = state.last;
        let waiting = Waiting {
            agent: agent.clone(),
            connection: connection.to_owned(),
            name: request.name.map(str::to_owned),
            response: sender,
        };
        state.waiting.insert(number, waiting);
        if let Some(name) = request.name {
            state.named.insert(name.to_owned(), number);
        }
        drop(state);
        let mut message = json!({ "jsonrpc": "2.0", "id": self.id(number), "method": request.method });
        if let Some(params) = request.params {
            message["params"] = params.clone();
        }
        let pending = PendingResponse {
            requests: self.clone(),
            number,
            response: receiver,
        };
        (message.to_string(), pending)
    }

    /// Completes a request. Ignores a response from another agent than the one that the request went to, and one of a client that
    /// such a request is never pushed to: ids can be guessed.
    pub fn complete(&self, envelope: ResponseEnvelope) {
        let mut state = self.locked();
        let is_addressee = |waiting: &Waiting| {
            // Pings have no name; they confirm events.
            let is_kept_from = match waiting.name {
                Some(_) => envelope.reach.no_calls,
                None => envelope.reach.no_events,
            };
            waiting.agent == envelope.agent && !is_kept_from
        };
        if state.waiting.get(&envelope.number).is_some_and(is_addressee)
            && let Some(waiting) = state.remove(envelope.number)
        {
            // The receiver is gone when its deadline has passed.
            waiting.response.send(envelope.response).ok();
        }
    }

    /// Cancels the request with this name. `None`: it is complete already, or unknown.
    pub fn cancel(&self, name: &str) -> Option<CancelledRequest> {
        let number = *self.locked().named.get(name)?;
        self.cancel_number(number)
    }

    fn cancel_number(&self, number: u64) -> Option<CancelledRequest> {
        let waiting = self.locked().remove(number)?;
        Some(CancelledRequest {
            agent: waiting.agent,
            connection: waiting.connection,
            id: self.id(number),
        })
    }

    /// Ends all requests of a closed stream; their waiters return at once.
    pub fn abandon(&self, connection: &str) {
        let mut state = self.locked();
        let abandoned: Vec<u64> = state
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.connection == connection)
            .map(|(number, _)| *number)
            .collect();
        for number in abandoned {
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

/// Why there is no response.
pub(crate) enum NoResponse {
    /// The stream was closed, or the request was cancelled.
    Gone,
    /// The deadline has passed; the client works on the request until it receives the cancellation.
    TimedOut(Option<CancelledRequest>),
}

/// A response that has not arrived yet.
pub(crate) struct PendingResponse {
    requests: PendingRequests,
    number: u64,
    response: oneshot::Receiver<ClientResponse>,
}

impl PendingResponse {
    /// Waits for the response until the deadline.
    pub async fn within(mut self, deadline: Duration) -> Result<ClientResponse, NoResponse> {
        match tokio::time::timeout(deadline, &mut self.response).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(_)) => Err(NoResponse::Gone),
            Err(_) => Err(NoResponse::TimedOut(self.requests.cancel_number(self.number))),
        }
    }
}

impl Drop for PendingResponse {
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

    fn requests() -> PendingRequests {
        PendingRequests::new(ReplicaId::from("r"))
    }

    fn is_empty(requests: &PendingRequests) -> bool {
        let state = requests.locked();
        state.waiting.is_empty() && state.named.is_empty()
    }

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn request_id_names_the_waiting_replica() {
        assert_eq!(parse_id(&id("ab12cd34.7")), Some((ReplicaId::from("ab12cd34"), 7)));
        for foreign in ["", "7", ".7", "ab.", "a*.7", "a.b.7", "ab.x"] {
            assert_eq!(parse_id(&id(foreign)), None, "{foreign:?}");
        }
        assert_eq!(parse_id(&RequestId::Number(7)), None);
    }

    #[tokio::test]
    async fn ignores_response_of_another_agent() {
        let requests = requests();
        let params = json!({ "maxTokens": 1 });
        let request = OutgoingRequest {
            method: "sampling/createMessage",
            params: Some(&params),
            name: Some("a"),
        };
        let (text, pending) = requests.register(&"agt_1".into(), "r.c", &request);
        let sent: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&sent["id"], &sent["params"]["maxTokens"]),
            (&json!("r.1"), &json!(1)),
            "{text}"
        );
        let envelope = |agent: &str| ResponseEnvelope {
            agent: agent.into(),
            number: 1,
            response: ClientResponse::Result(json!({ "by": agent })),
            reach: Reach::default(),
        };
        requests.complete(envelope("agt_2"));
        requests.complete(envelope("agt_1"));
        let response = pending.within(LONG).await;
        assert!(matches!(response, Ok(ClientResponse::Result(value)) if value["by"] == "agt_1"));
        assert!(is_empty(&requests));
    }

    #[tokio::test]
    async fn ignores_response_of_client_that_is_pushed_nothing() {
        let requests = requests();
        let sampling = OutgoingRequest {
            name: Some("a"),
            ..OutgoingRequest::PING
        };
        for (request, no_events, no_calls) in [(sampling, false, true), (OutgoingRequest::PING, true, false)] {
            let (_, pending) = requests.register(&"agt_1".into(), "r.c", &request);
            let number = pending.number;
            let envelope = |by: &str, reach: Reach| ResponseEnvelope {
                agent: "agt_1".into(),
                number,
                response: ClientResponse::Result(json!({ "by": by })),
                reach,
            };
            requests.complete(envelope("forger", Reach { no_events, no_calls }));
            let other = Reach {
                no_events: no_calls,
                no_calls: no_events,
            };
            requests.complete(envelope("client", other));
            let response = pending.within(LONG).await;
            assert!(matches!(response, Ok(ClientResponse::Result(value)) if value["by"] == "client"));
        }
    }

    #[tokio::test]
    async fn closed_stream_ends_pending_requests_at_once() {
        let requests = requests();
        let (_, pending) = requests.register(&"agt_1".into(), "r.c", &OutgoingRequest::PING);
        requests.abandon("r.c");
        assert!(matches!(pending.within(LONG).await, Err(NoResponse::Gone)));
        assert!(is_empty(&requests), "no entry is left");
    }

    #[tokio::test]
    async fn cancels_timed_out_request_once() {
        let requests = requests();
        let named = OutgoingRequest {
            name: Some("a"),
            ..OutgoingRequest::PING
        };
        let (_, late) = requests.register(&"agt_1".into(), "r.c", &named);
        let Err(NoResponse::TimedOut(Some(cancelled))) = late.within(Duration::ZERO).await else {
            panic!("no response was sent");
        };
        let notification: Value = serde_json::from_str(&cancelled.notification("too late")).unwrap();
        assert_eq!(
            notification["params"],
            json!({ "requestId": "r.1", "reason": "too late" })
        );
        assert!(requests.cancel("a").is_none(), "it is cancelled already");

        let (_, unneeded) = requests.register(&"agt_1".into(), "r.c", &named);
        assert_eq!(requests.cancel("a").unwrap().id, "r.2");
        assert!(matches!(unneeded.within(LONG).await, Err(NoResponse::Gone)));
        assert!(is_empty(&requests));
    }
}
