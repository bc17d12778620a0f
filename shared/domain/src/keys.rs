//! All keys of the key-value store, in one place, because they share one namespace in Redis.

use std::fmt::Display;

use crate::{AgentId, CallId, OrgId, ReplicaId, clock::Timestamp};

/// Written by health checks, and never read.
pub const HEALTH: &str = "health";

/// An MCP session of the Streamable HTTP transport.
pub fn session(id: &str) -> String {
    format!("mcp:sess:{id}")
}

/// The bounded list of an agent's most recent sessions.
pub fn agent_sessions(agent: &AgentId) -> String {
    format!("mcp:agent:{agent}:sessions")
}

/// An open push stream: its listener and its replica.
pub fn connection(id: &str) -> String {
    format!("mcp:conn:{id}")
}

/// A marker of a replica. Its absence means that the store has lost its data.
pub fn replica_mark(replica: &ReplicaId) -> String {
    format!("mcp:replica:{replica}")
}

/// The set of an agent's open push streams.
pub fn agent_connections(agent: &AgentId) -> String {
    format!("mcp:agent:{agent}:conns")
}

/// The counter of failed authentications of one address or network.
pub fn auth_failures(peer: impl Display) -> String {
    format!("auth:failures:{peer}")
}

/// The end of the lockout of an address or network.
pub fn auth_lock(peer: impl Display) -> String {
    format!("auth:locked:{peer}")
}

/// The counter of requests with unknown tokens within a bucket of time, of all addresses.
pub fn token_failures_in(bucket: i64) -> String {
    format!("anomalies:token-failures:{bucket}")
}

/// The counter of lockouts within a bucket of time.
pub fn token_lockouts_in(bucket: i64) -> String {
    format!("anomalies:token-lockouts:{bucket}")
}

/// The counter of failed sign-ins to the console within a bucket of time.
pub fn sign_in_failures_in(bucket: i64) -> String {
    format!("anomalies:sign-ins:{bucket}")
}

/// Claimed by the process that looks for anomalies.
pub const ANOMALIES: &str = "anomalies:sweep";

/// Claimed by the process that adds a bucket of time to the baselines of anomalies.
pub fn anomaly_bucket(bucket: i64) -> String {
    format!("anomalies:learned:{bucket}")
}

/// The bucket of five minutes that a time belongs to, in the names of counters.
pub fn five_minutes(at: Timestamp) -> i64 {
    at.timestamp().div_euclid(300)
}

/// The counter of tries to sign in to the console: of an account, an address, or one at the other.
pub fn console_tries(id: &str) -> String {
    format!("console:tries:{id}")
}

/// A ceremony of a passkey that was begun, by the hash of its challenge.
pub fn console_ceremony(hash: &str) -> String {
    format!("console:passkey:{hash}")
}

/// Claimed by the answer to a challenge: each admits once.
pub fn console_ceremony_used(hash: &str) -> String {
    format!("console:passkey:{hash}:used")
}

/// The counter of ceremonies that an address has begun.
pub fn console_ceremonies_of(address: &str) -> String {
    format!("console:passkeys:{address}")
}

/// A limit of registrations: of an address, a domain or a mailbox.
pub fn registration_limit(kind: &str, id: &str) -> String {
    format!("limit:{{registrations}}:{kind}:{id}")
}

/// The sealed response to a registration with an idempotency key.
pub fn registration_reply(key_hash: &str) -> String {
    format!("accounts:registered:{key_hash}")
}

/// The lease of a registration with an idempotency key, while it runs.
pub fn registration_lease(key_hash: &str) -> String {
    format!("accounts:registering:{key_hash}")
}

/// The organization id that a registration with the address of an existing owner is answered with.
pub fn decoy_organization(owner_hash: &str) -> String {
    format!("accounts:decoy:{owner_hash}")
}

/// A limit of an open route: of the client address, or of an organization.
pub fn open_route_limit(route: &str, id: impl Display) -> String {
    format!("limit:{{open}}:{route}:{id}")
}

/// A nonce that was used to request a team token.
pub fn reveal_nonce(org: &OrgId, nonce: &str) -> String {
    format!("accounts:nonce:{org}:{nonce}")
}

/// Claimed by the process that looks for budgets to report.
pub const BUDGET_ALERTS: &str = "accounts:budget-alerts";

/// The start of an erasure within the last hour.
pub fn erasure_started(org: &OrgId) -> String {
    format!("accounts:erasure:{org}")
}

/// A rate limit of an agent. The organization in braces keeps all keys of one take on one node of a Redis cluster.
pub fn agent_limit(org: &OrgId, agent: &AgentId, window: &str) -> String {
    format!("limit:{{{org}}}:{agent}:{window}")
}

/// The limit of automatic replies of an agent.
pub fn automatic_replies(org: &OrgId, agent: &AgentId) -> String {
    format!("limit:{{{org}}}:{agent}:automatic")
}

/// The limit of transcriptions for an agent.
pub fn transcriptions(org: &OrgId, agent: &AgentId) -> String {
    format!("limit:{{{org}}}:{agent}:transcriptions")
}

/// The limit of refusals of an agent that are stored.
pub fn stored_refusals(org: &OrgId, agent: &AgentId) -> String {
    format!("limit:{{{org}}}:{agent}:refusals")
}

/// A rate limit of an organization.
pub fn org_limit(org: &OrgId, window: &str) -> String {
    format!("limit:{{{org}}}:{window}")
}

/// A limit of one-time codes to one contact of an organization. `contact` is a keyed hash.
pub fn codes_to_contact(org: &OrgId, contact: &str, window: &str) -> String {
    format!("limit:{{{org}}}:codes:{contact}:{window}")
}

/// The limit of one-time codes of an organization.
pub fn codes_of_org(org: &OrgId) -> String {
    format!("limit:{{{org}}}:codes")
}

/// Marks a message of a carrier's list as matched, so that the reconciler does not match it twice.
pub fn reconciled(carrier: &str, carrier_id: &str) -> String {
    format!("comms:reconciled:{carrier}:{carrier_id}")
}

/// The claim of an idempotency key while its request tries one channel after the other.
pub fn fallback_chain(agent: &AgentId, idempotency_key: &str) -> String {
    format!("comms:chain:{agent}:{idempotency_key}")
}

/// The lease of the reader of a durable stream, or of a partition of it.
pub fn reader(stream: &str) -> String {
    format!("comms:reader:{stream}")
}

/// The set of replicas that read partitions of the inbound stream, or did.
pub const READERS: &str = "comms:readers";

/// The heartbeat of such a replica. Expires when it stops.
pub fn reader_heartbeat(replica: &ReplicaId) -> String {
    format!("comms:readers:{replica}")
}

/// The lease of the reconciler of calls without recent reports.
pub const CALL_RECONCILER_LEASE: &str = "call:unheard:turn";

/// The position of that reconciler: the last call that it has looked up.
pub const CALL_RECONCILER_CURSOR: &str = "call:unheard:place";

/// The state of a live call. The call in braces keeps it beside its lease in a Redis cluster.
pub fn call_state(call: &CallId) -> String {
    format!("call:{{{call}}}:state")
}

/// The lease of a live call. Its holder owns the socket and is the only writer of the state.
pub fn call_owner(call: &CallId) -> String {
    format!("call:{{{call}}}:owner")
}

/// The ticket for the socket of a call. Valid for one socket.
pub fn call_token(token: &str) -> String {
    format!("call:token:{token}")
}

/// The claim of a call notification by one waiter. `reply_to` identifies the notification.
pub fn notification_claim(reply_to: &str) -> String {
    format!("call:taken:{reply_to}")
}

/// A call event that a waiting agent was already notified of.
pub fn call_notified(call: &CallId, what: &str) -> String {
    format!("call:{{{call}}}:told:{what}")
}

/// The set of relays that own calls, or owned some.
pub const RELAYS: &str = "call:relays";

/// The heartbeat of a relay. Expires when the relay stops.
pub fn relay_heartbeat(replica: &ReplicaId) -> String {
    format!("call:relay:{replica}:mark")
}

/// The set of calls with sockets at a relay.
pub fn relay_calls(replica: &ReplicaId) -> String {
    format!("call:relay:{replica}:calls")
}
