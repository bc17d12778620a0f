//! The port to short-lived shared state: rate limits, counters, registries, leases, nonces. Memory or Redis.

use std::time::Duration;

use async_trait::async_trait;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key-value backend does not answer: {0}")]
pub struct KvError(pub String);

/// One limit to take from. Keys of one call should share a `{tag}` so that a Redis cluster keeps them together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    pub key: String,
    /// How many in one period; also the burst. At least 1.
    pub limit: u32,
    pub period: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateLimitDecision {
    /// Taken from every quota.
    Granted,
    /// Nothing was taken from any. `quota` is the index of the one that is free last; `remaining` what it still holds now.
    Denied {
        quota: usize,
        retry_after: Duration,
        remaining: u32,
    },
}

/// A lease with a fencing token that only grows: a holder that was replaced can be told by its smaller number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub key: String,
    pub holder: String,
    pub fence: u64,
}

#[async_trait]
pub trait Kv: Send + Sync {
    /// GCRA over all quotas in one atomic step: takes one from each, or nothing from any.
    async fn take(&self, quotas: &[Quota]) -> Result<RateLimitDecision, KvError>;

    /// Gives back what an earlier `take` took, for work that was not done after all.
    async fn give_back(&self, quotas: &[Quota]) -> Result<(), KvError>;

    /// Adds one; the first increment starts the time to live. Returns the new count and what is left to live.
    async fn increment(&self, key: &str, ttl: Duration) -> Result<(u64, Duration), KvError>;

    /// The count and what is left to live; zero when there is none.
    async fn count(&self, key: &str) -> Result<(u64, Duration), KvError>;

    async fn set(&self, key: &str, value: &str, ttl: Duration) -> Result<(), KvError>;

    async fn get(&self, key: &str) -> Result<Option<String>, KvError>;

    /// The values in the order of the keys, in one round trip.
    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<String>>, KvError>;

    async fn delete(&self, key: &str) -> Result<(), KvError>;

    /// True the first time within the time to live, false after: a nonce can be used once.
    async fn once(&self, key: &str, ttl: Duration) -> Result<bool, KvError>;

    /// Adds a member to a set whose whole life is renewed to `ttl`.
    async fn add_member(&self, key: &str, member: &str, ttl: Duration) -> Result<(), KvError>;

    async fn remove_member(&self, key: &str, member: &str) -> Result<(), KvError>;

    async fn members(&self, key: &str) -> Result<Vec<String>, KvError>;

    /// Makes the member the newest of a line whose whole life is renewed to `ttl`. The line keeps its `most` newest members, one
    /// at least; the others leave it, and are returned.
    async fn push_recent(&self, key: &str, member: &str, most: usize, ttl: Duration) -> Result<Vec<String>, KvError>;

    async fn remove_recent(&self, key: &str, member: &str) -> Result<(), KvError>;

    /// Takes the lease if it is free or already ours (then it is renewed and keeps its fence).
    async fn acquire(&self, key: &str, holder: &str, ttl: Duration) -> Result<Option<Lease>, KvError>;

    /// Takes the lease from whoever holds it: for a holder that is known to be gone. The fence grows.
    async fn steal_lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<Lease, KvError>;

    /// Takes a lease again that the store has lost, with the fence that it had: where nobody holds it, or only a holder with a
    /// smaller fence has taken it again. False when it is another's: one with a greater fence has it, or has had it.
    async fn restore(&self, lease: &Lease, ttl: Duration) -> Result<bool, KvError>;

    /// Sets the value if the lease is still ours with this fence; false when it was lost, and then nothing is written.
    /// Both keys should share a `{tag}` so that a Redis cluster keeps them together.
    async fn set_if_leased(&self, lease: &Lease, key: &str, value: &str, ttl: Duration) -> Result<bool, KvError>;

    /// Renews the lease if it is still ours with this fence; false when it was lost.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, KvError>;

    /// Gives the lease up if it is still ours.
    async fn release(&self, lease: &Lease) -> Result<(), KvError>;

    /// Whether the backend answers.
    async fn check(&self) -> Result<(), KvError>;
}
