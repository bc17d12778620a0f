//! Every key of the key-value store. One place, because they share one namespace in Redis.

use std::net::IpAddr;

use crate::{AgentId, CallId, OrgId, ReplicaId};

/// An MCP session of the Streamable HTTP transport.
pub fn session(id: &str) -> String {
    format!("mcp:sess:{id}")
}

/// The line of an agent's sessions.
pub fn agent_sessions(agent: &AgentId) -> String {
    format!("mcp:agent:{agent}:sessions")
}

/// An open push stream: who listens, and on which replica.
pub fn connection(id: &str) -> String {
    format!("mcp:conn:{id}")
}

/// There as long as the store keeps what this replica wrote.
pub fn replica_mark(replica: &ReplicaId) -> String {
    format!("mcp:replica:{replica}")
}

/// The set of an agent's open push streams.
pub fn agent_connections(agent: &AgentId) -> String {
    format!("mcp:agent:{agent}:conns")
}

/// Wrong tokens from one address.
pub fn auth_failures(peer: IpAddr) -> String {
    format!("auth:failures:{peer}")
}

/// Until when an address is locked out.
pub fn auth_lock(peer: IpAddr) -> String {
    format!("auth:locked:{peer}")
}

/// A rate limit. The organization in braces keeps all keys of one take on one node of a Redis cluster.
pub fn agent_limit(org: &OrgId, agent: &AgentId, window: &str) -> String {
    format!("limit:{{{org}}}:{agent}:{window}")
}

pub fn org_limit(org: &OrgId, window: &str) -> String {
    format!("limit:{{{org}}}:{window}")
}

/// A message in a carrier's list that the reconciler has given to one of ours.
pub fn reconciled(carrier: &str, carrier_id: &str) -> String {
    format!("comms:reconciled:{carrier}:{carrier_id}")
}

/// Whose turn it is to read a durable stream.
pub fn reader(stream: &str) -> String {
    format!("comms:reader:{stream}")
}

/// Whose turn it is to ask carriers about calls that nothing is heard of.
pub const CALL_RECONCILER_LEASE: &str = "call:unheard:turn";

/// The last of them that was asked about.
pub const CALL_RECONCILER_CURSOR: &str = "call:unheard:place";

/// Where a live call stands. The call in braces keeps it beside its lease in a Redis cluster.
pub fn call_state(call: &CallId) -> String {
    format!("call:{{{call}}}:state")
}

/// Who holds a live call's socket, and alone writes its state.
pub fn call_owner(call: &CallId) -> String {
    format!("call:{{{call}}}:owner")
}

/// What the socket of a call is opened with; good for one socket.
pub fn call_token(token: &str) -> String {
    format!("call:token:{token}")
}

/// A signal of a call's, named by where its relay waits for an answer, has its taker.
pub fn notification_claim(reply_to: &str) -> String {
    format!("call:taken:{reply_to}")
}

/// What an agent that waits for events has just been told of a call.
pub fn call_notified(call: &CallId, what: &str) -> String {
    format!("call:{{{call}}}:told:{what}")
}

/// The set of all relays that hold calls, or held some.
pub const RELAYS: &str = "call:relays";

/// There as long as the relay lives.
pub fn relay_heartbeat(replica: &ReplicaId) -> String {
    format!("call:relay:{replica}:mark")
}

/// The set of the calls whose sockets a relay holds.
pub fn relay_calls(replica: &ReplicaId) -> String {
    format!("call:relay:{replica}:calls")
}
