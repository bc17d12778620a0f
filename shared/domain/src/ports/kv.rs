//! The port to short-lived shared state: rate limits, counters, registries, leases, nonces. The backends are the process's
//! memory and Redis. State here may be lost at any time and is never the only copy of important data.

use std::time::Duration;

use async_trait::async_trait;

/// The backend did not respond within about a second, or it rejected the command. The command may have been executed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key-value store is not available: {0}")]
pub struct KvError(pub String);

/// One rate limit. The keys of one call share a `{tag}`, so that a Redis cluster stores them on one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    pub key: String,
    /// Units per period, and the burst. Zero denies every take.
    pub limit: u32,
    pub period: Duration,
    /// The number of units that a take takes and `give_back` returns. At least 1.
    pub units: u32,
}

/// The result of taking from rate limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateLimitDecision {
    /// The units were taken from every quota.
    Granted,
    /// No quota was changed.
    Denied {
        /// The index of the quota with the longest wait.
        quota: usize,
        /// The wait until that quota has the units.
        retry_after: Duration,
        /// The whole units that it still has.
        remaining: u32,
    },
}

/// A lease with a fencing token. Fences of one key only grow, so a smaller fence identifies a former holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub key: String,
    pub holder: String,
    pub fence: u64,
}

/// The key-value store. Every operation is atomic. Times to live have a resolution of one millisecond. An operation on a
/// key that holds another kind of value fails.
#[async_trait]
pub trait Kv: Send + Sync {
    /// Takes the units of each quota, or nothing from any, by the generic cell rate algorithm (GCRA).
    async fn take(&self, quotas: &[Quota]) -> Result<RateLimitDecision, KvError>;

    /// Returns the units of each quota, for work that was not done. Never exceeds a limit.
    async fn give_back(&self, quotas: &[Quota]) -> Result<(), KvError>;

    /// Increments a counter. The first increment sets the time to live. Returns the new count and the remaining time to
    /// live.
    async fn increment(&self, key: &str, ttl: Duration) -> Result<(u64, Duration), KvError>;

    async fn set(&self, key: &str, value: &str, ttl: Duration) -> Result<(), KvError>;

    /// Returns a value, or a counter as text.
    async fn get(&self, key: &str) -> Result<Option<String>, KvError>;

    /// Returns values and counters in the order of the keys, in one round trip.
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<String>>, KvError>;

    /// Deletes a key of any kind.
    async fn delete(&self, key: &str) -> Result<(), KvError>;

    /// Claims a nonce. Returns true for the first call within the time to live, false afterwards.
    async fn once(&self, key: &str, ttl: Duration) -> Result<bool, KvError>;

    /// Adds a member to a set and renews the time to live of the whole set.
    async fn add_member(&self, key: &str, member: &str, ttl: Duration) -> Result<(), KvError>;

    async fn remove_member(&self, key: &str, member: &str) -> Result<(), KvError>;

    /// Returns the members of a set in any order.
    async fn members(&self, key: &str) -> Result<Vec<String>, KvError>;

    /// Makes the member the most recent one of a bounded list and renews the time to live of the whole list. Keeps the
    /// `max` most recent members (at least 1) and returns the evicted ones, the oldest first.
    async fn push_recent(&self, key: &str, member: &str, max: usize, ttl: Duration) -> Result<Vec<String>, KvError>;

    async fn remove_recent(&self, key: &str, member: &str) -> Result<(), KvError>;

    /// Acquires a free lease. For the current holder it renews the lease and keeps the fence. Returns `None` when another
    /// holder has it.
    async fn acquire(&self, key: &str, holder: &str, ttl: Duration) -> Result<Option<Lease>, KvError>;

    /// Acquires a lease regardless of its holder, with a larger fence. For a holder that is known to have failed.
    async fn steal_lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<Lease, KvError>;

    /// Acquires a lease that the store has lost, with its former fence. Also replaces a holder with a smaller fence.
    /// Returns false when a holder with a larger fence has or had the lease.
    async fn restore(&self, lease: &Lease, ttl: Duration) -> Result<bool, KvError>;

    /// Sets the value if the lease is still held with this fence. Returns false, and writes nothing, when it was lost.
    /// Both keys share a `{tag}`, so that a Redis cluster stores them on one node.
    async fn set_if_leased(&self, lease: &Lease, key: &str, value: &str, ttl: Duration) -> Result<bool, KvError>;

    /// Renews the lease if it is still held with this fence. Returns false when it was lost.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, KvError>;

    /// Releases the lease if it is still held with this fence.
    async fn release(&self, lease: &Lease) -> Result<(), KvError>;

    /// Checks that the backend responds.
    async fn check(&self) -> Result<(), KvError>;
}
