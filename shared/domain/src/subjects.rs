//! All subjects of the bus, in one place, because each is shared by two services.

use crate::{AgentId, CallId, ReplicaId};

/// A session was changed or closed; replicas drop it from their caches. Payload: the session id.
pub const SESSION_CHANGED: &str = "mcp.session.changed";
/// A session was closed; replicas close its open streams. Payload: the agent and the session id.
pub const SESSION_ENDED: &str = "mcp.session.ended";
/// The tokens of an agent were revoked; replicas close its open streams. Payload: the agent id.
pub const TOKENS_REVOKED: &str = "mcp.tokens.revoked";

/// A client has cancelled a request that may run on any replica. Payload: the client and the id of the request.
pub const REQUEST_CANCELLED: &str = "mcp.request.cancelled";

/// Messages for a push stream with a socket at this replica. Reply: `1`, or `0` when the stream is gone.
pub fn push(replica: &ReplicaId) -> String {
    format!("mcp.gw.{replica}.push")
}

/// Events for a listener with a socket at this replica (`Push` of the delivery). Reply: `1` when the client has answered
/// a ping that was sent after the events, `0` when it has not, `not sent` when the stream is gone or can't take them.
pub fn deliver(replica: &ReplicaId) -> String {
    format!("mcp.gw.{replica}.deliver")
}

/// Requests to a client with a push stream at this replica. Reply: the client's result.
pub fn client_requests(replica: &ReplicaId) -> String {
    format!("mcp.gw.{replica}.ask")
}

/// Responses of clients to requests of this replica, received by any replica.
pub fn client_responses(replica: &ReplicaId) -> String {
    format!("mcp.gw.{replica}.answers")
}

/// Cancels a request to a client. Payload: the id of the request.
pub fn cancel_request(replica: &ReplicaId) -> String {
    format!("mcp.gw.{replica}.unask")
}

/// An event was appended to the log of the agent. No payload: subscribers read the log.
pub fn agent_events(agent: &AgentId) -> String {
    format!("comms.agent.{agent}.evt")
}

/// An agent is reachable again; its pending deliveries are due. Payload: the agent id.
pub const AGENT_RETURNED: &str = "comms.agent_returned";
/// One of our addresses, or its blocks, was changed. Payload: the channel, a space, the address.
pub const ROUTE_CHANGED: &str = "comms.route_changed";
/// The credentials of an organization at a vendor were changed. Payload: the id of the account.
pub const PROVIDER_ACCOUNT_CHANGED: &str = "comms.provider_account_changed";
/// The durable stream of webhook events without partitions: of an embedded bus, and of releases that had none.
pub const INBOUND: &str = "comms.inbound";

/// A partition of the durable stream of webhook events.
pub fn inbound_partition(number: u16) -> String {
    format!("comms.inbound.{number}")
}

/// Commands to the relay that owns the socket of a call. Answered with a reply.
pub fn call_commands(call: &CallId) -> String {
    format!("call.{call}.in")
}

/// Notifications about one call for a waiting agent. Reply of the claimant: `1`.
pub fn call_notifications(agent: &AgentId, call: &CallId) -> String {
    format!("call.signal.{agent}.{call}")
}

/// Notifications about all calls of an agent.
pub fn all_call_notifications(agent: &AgentId) -> String {
    format!("call.signal.{agent}.*")
}

/// A tool call has begun to wait for notifications of the agent's calls.
pub fn call_waiters(agent: &AgentId) -> String {
    format!("call.waiters.{agent}")
}

/// An agent has begun to wait for its calls. No payload.
pub fn call_presence(agent: &AgentId) -> String {
    format!("call.present.{agent}")
}
