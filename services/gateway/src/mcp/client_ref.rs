//! The client behind a request, and the state that is kept of it between its requests.

use butt_dial_sessions::{ClientChange, Connection, RunningRequest, Sessions};
use http::{HeaderName, request::Parts};
use rmcp::model::{ClientJsonRpcMessage, ClientNotification, JsonRpcMessage, RequestId};

pub const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");

/// How the client of a request can be reached besides the response.
#[derive(Clone)]
pub enum ClientRef {
    /// The legacy transport: one stream, one client.
    Stream(Box<Connection>),
    /// Streamable HTTP up to 2025-11-25: a session with any number of streams.
    Session(String),
    /// The stateless revision: nothing can be pushed.
    None,
}

impl ClientRef {
    pub fn of(parts: &Parts) -> Self {
        if let Some(client) = parts.extensions.get::<Self>() {
            return client.clone();
        }
        let session = parts.headers.get(SESSION_HEADER).and_then(|id| id.to_str().ok());
        session.map_or(Self::None, |id| Self::Session(id.to_owned()))
    }
}

/// The state of clients between their requests, on all replicas.
#[derive(Clone)]
pub struct ClientStates(Sessions);

impl ClientStates {
    pub fn new(sessions: Sessions) -> Self {
        Self(sessions)
    }

    /// Applies a change to the client's session and streams. A change that is known already costs no request to a backend.
    /// Failures are logged only: without the change, the agent receives its events in another way.
    pub async fn update(&self, client: &ClientRef, change: ClientChange) {
        match client {
            ClientRef::Stream(connection) => self.0.streams.update(connection, change).await,
            ClientRef::Session(id) => self.update_session(id, change).await,
            ClientRef::None => {}
        }
    }

    /// Registers a request of the client, which it may cancel at any replica. `None`: a notification or a response.
    pub fn register_request(&self, client: &str, message: &ClientJsonRpcMessage) -> Option<RunningRequest> {
        match message {
            JsonRpcMessage::Request(request) => Some(self.0.cancellations.register(client, json_id(&request.id))),
            _ => None,
        }
    }

    /// Cancels the request that a notification of the client names.
    pub async fn cancel_request(&self, client: &str, notification: &ClientNotification) {
        if let ClientNotification::CancelledNotification(cancelled) = notification
            && let Some(id) = &cancelled.params.request_id
        {
            self.0.cancellations.cancel(client, json_id(id)).await;
        }
    }

    async fn update_session(&self, id: &str, change: ClientChange) {
        let session = match self.0.registry.update(id, &change).await {
            Ok(Some(session)) => session,
            Ok(None) => return,
            Err(failure) => {
                tracing::warn!(%failure, "session flags not updated");
                return;
            }
        };
        match self.0.streams.list_for_session(&session.agent, id).await {
            Ok(open) => {
                for connection in open {
                    self.0.streams.update(&connection, change.clone()).await;
                }
            }
            Err(failure) => tracing::warn!(%failure, "streams of session not found"),
        }
    }
}

/// `1` and `"1"` are different ids.
fn json_id(id: &RequestId) -> String {
    serde_json::to_string(id).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::{ReplicaId, clock::Timestamp};
    use butt_dial_messaging::delivery::Listener;
    use butt_dial_sessions::{ClientFlags, Reach};
    use chrono::{TimeZone as _, Utc};
    use rmcp::model::InitializeRequestParams;

    use super::*;

    fn at(second: u32) -> Timestamp {
        Utc.with_ymd_and_hms(2026, 11, 22, 9, 0, second).unwrap()
    }

    #[test]
    fn delivery_parses_registry_entry_of_gateway() {
        let mut peer = InitializeRequestParams::default();
        peer.capabilities.sampling = Some(Default::default());
        let connection = Connection {
            id: "r.1".into(),
            agent: "agt_1".into(),
            replica: ReplicaId::from("r"),
            transport: "sse".into(),
            session: None,
            peer: Some(peer),
            flags: ClientFlags {
                initialized_at: Some(at(0)),
                uses_tools: true,
                is_subscribed: true,
                watches_inbox: false,
                reach: Reach::default(),
            },
        };
        let text = serde_json::to_string(&connection).unwrap();
        let listener: Listener = serde_json::from_str(&text).unwrap();
        assert!(listener.is_live(at(2)) && listener.uses_tools && listener.samples());
        let parsed: Connection = serde_json::from_str(&text).unwrap();
        assert_eq!(parsed.flags, connection.flags);
        let reach = Reach {
            no_events: true,
            no_calls: true,
        };
        let mut restricted = connection;
        restricted.flags.reach = reach;
        let text = serde_json::to_string(&restricted).unwrap();
        let listener: Listener = serde_json::from_str(&text).unwrap();
        assert!(!listener.is_live(at(2)) && !listener.samples());
    }
}
