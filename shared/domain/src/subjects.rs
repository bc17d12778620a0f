//! Every subject on the bus. One place, because two services meet in each.

use crate::ReplicaId;

/// A session was closed: replicas forget what they remember of it. Payload: the session's id.
pub const SESSION_CLOSED: &str = "mcp.session.closed";
/// An agent's tokens were revoked: replicas close its open streams. Payload: the agent's id.
pub const TOKENS_REVOKED: &str = "mcp.tokens.revoked";

/// Messages for a push stream whose socket this replica holds; answered with `1`, or `0` when the stream is gone.
pub fn push(replica: &ReplicaId) -> String {
    format!("mcp.gw.{replica}.push")
}
