//! Every subject on the bus. One place, because two services meet in each.

use crate::{AgentId, CallId, ReplicaId};

/// A session has changed, or was closed: replicas forget what they remember of it. Payload: the session's id.
pub const SESSION_CHANGED: &str = "mcp.session.changed";
/// An agent's tokens were revoked: replicas close its open streams. Payload: the agent's id.
pub const TOKENS_REVOKED: &str = "mcp.tokens.revoked";

/// Messages for a push stream whose socket this replica holds; answered with `1`, or `0` when the stream is gone.
pub fn push(replica: &ReplicaId) -> String {
    format!("mcp.gw.{replica}.push")
}

/// Events for a listener whose socket this replica holds (`Push` of the delivery); answered with `1` once the client has
/// answered a ping that was sent after them, with `0` when it has not, or is gone.
pub fn deliver(replica: &ReplicaId) -> String {
    format!("mcp.gw.{replica}.deliver")
}

/// A client's answer to a request of this replica's, from wherever it was posted to.
pub fn client_responses(replica: &ReplicaId) -> String {
    format!("mcp.gw.{replica}.answers")
}

/// An agent's log has grown. No payload: who wants to know reads the log.
pub fn agent_events(agent: &AgentId) -> String {
    format!("comms.agent.{agent}.evt")
}

/// An agent can be reached again: whoever delivers looks what waits for it. Payload: the agent's id.
pub const AGENT_RETURNED: &str = "comms.agent_returned";
/// An address of ours, or what is blocked on it, has changed. Payload: channel, a blank, address.
pub const ROUTE_CHANGED: &str = "comms.route_changed";
/// The durable stream of what carriers tell us.
pub const INBOUND: &str = "comms.inbound";
/// What was in it and could not be written down: for operators to look at.
pub const INBOUND_DEAD_LETTERS: &str = "comms.aside";

/// A request to a client whose push stream this replica holds; answered with the client's result.
pub fn client_requests(replica: &ReplicaId) -> String {
    format!("mcp.gw.{replica}.ask")
}

/// A request to a client that is not wanted any more. Payload: its id.
pub fn cancel_request(replica: &ReplicaId) -> String {
    format!("mcp.gw.{replica}.cancel_request")
}

/// Orders to whoever holds the call's socket; answered.
pub fn call_commands(call: &CallId) -> String {
    format!("call.{call}.in")
}

/// What an agent that waits is told of one of its calls; answered with `1` by whoever takes it.
pub fn call_notifications(agent: &AgentId, call: &CallId) -> String {
    format!("call.signal.{agent}.{call}")
}

/// The same, of all of an agent's calls.
pub fn all_call_notifications(agent: &AgentId) -> String {
    format!("call.signal.{agent}.*")
}

/// An agent waits for its calls from now on. No payload.
pub fn call_presence(agent: &AgentId) -> String {
    format!("call.present.{agent}")
}
