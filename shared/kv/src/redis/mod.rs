//! The Redis backend. Every operation is one round trip and atomic on the server, and uses the clock of the server. After
//! an error the operation may have been executed.

mod connection;
mod endpoint;
mod pool;

use std::time::Duration;

use ::redis::{Script, ScriptInvocation, cmd, pipe};
use async_trait::async_trait;
use butt_dial_domain::{
    keys,
    ports::kv::{Kv, KvError, Lease, Quota, RateLimitDecision},
};

use self::pool::Pool;
pub use self::pool::PoolStatus;

/// The last fence of a lease is kept for this long after the lease.
const FENCE_RETENTION: Duration = Duration::from_secs(24 * 3_600);

/// The limit of one command, including the wait for a connection.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(1);
/// After this time without an acknowledgement the kernel closes the connection.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(5);
/// Commands in flight on one connection. More commands wait.
const MAX_IN_FLIGHT: usize = 1_024;

/// How long the key of a health check is kept.
const HEALTH_TTL: Duration = Duration::from_secs(60);

/// Why no connection was opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The URL is wrong, or leads to another kind of server. The text has a remedy.
    #[error("{0}")]
    Setting(String),
    #[error(transparent)]
    Unavailable(#[from] KvError),
}

pub struct RedisKv {
    pool: Pool,
    scripts: Scripts,
}

struct Scripts {
    take: Script,
    give_back: Script,
    increment: Script,
    acquire: Script,
    steal_lease: Script,
    restore: Script,
    set_if_leased: Script,
    renew: Script,
    release: Script,
    push_recent: Script,
}

impl RedisKv {
    /// Opens `pool_size` connections (at least 1), to `redis://[user:password@]host:port[/database]`, to the primary that
    /// sentinels name (`redis+sentinel://[user:password@]host:port,host:port/service[/database]`), or to each node of a cluster
    /// (`redis+cluster://[user:password@]host:port,host:port`). `rediss` instead of `redis` is for TLS. Fails within two seconds
    /// when the server does not respond.
    pub async fn connect(url: &str, pool_size: usize) -> Result<Self, ConnectError> {
        Ok(Self {
            pool: Pool::connect(url, pool_size).await?,
            scripts: Scripts::new(),
        })
    }

    pub fn pool_status(&self) -> PoolStatus {
        self.pool.status()
    }
}

impl Scripts {
    fn new() -> Self {
        Self {
            take: Script::new(include_str!("scripts/take.lua")),
            give_back: Script::new(include_str!("scripts/give_back.lua")),
            increment: Script::new(include_str!("scripts/increment.lua")),
            acquire: Script::new(include_str!("scripts/acquire.lua")),
            steal_lease: Script::new(include_str!("scripts/steal_lease.lua")),
            restore: Script::new(include_str!("scripts/restore.lua")),
            set_if_leased: Script::new(include_str!("scripts/set_if_leased.lua")),
            renew: Script::new(include_str!("scripts/renew.lua")),
            release: Script::new(include_str!("scripts/release.lua")),
            push_recent: Script::new(include_str!("scripts/push_recent.lua")),
        }
    }
}

#[async_trait]
impl Kv for RedisKv {
    async fn take(&self, quotas: &[Quota]) -> Result<RateLimitDecision, KvError> {
        if quotas.is_empty() {
            return Ok(RateLimitDecision::Granted);
        }
        let (wait, index, remaining): (u64, usize, u32) =
            self.pool.script(&quota_call(&self.scripts.take, quotas)).await?;
        Ok(match index.checked_sub(1) {
            None => RateLimitDecision::Granted,
            Some(quota) => RateLimitDecision::Denied {
                quota,
                retry_after: Duration::from_micros(wait),
                remaining,
            },
        })
    }

    async fn give_back(&self, quotas: &[Quota]) -> Result<(), KvError> {
        if quotas.is_empty() {
            return Ok(());
        }
        self.pool.script(&quota_call(&self.scripts.give_back, quotas)).await
    }

    async fn increment(&self, key: &str, ttl: Duration) -> Result<(u64, Duration), KvError> {
        let (count, left): (u64, i64) = self
            .pool
            .script(self.scripts.increment.key(key).arg(millis(ttl)))
            .await?;
        Ok((count, from_pttl(left)))
    }

    async fn set(&self, key: &str, value: &str, ttl: Duration) -> Result<(), KvError> {
        self.pool
            .query(cmd("SET").arg(key).arg(value).arg("PX").arg(millis(ttl)))
            .await
    }

    async fn get(&self, key: &str) -> Result<Option<String>, KvError> {
        self.pool.query(cmd("GET").arg(key)).await
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<String>>, KvError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.pool.query(cmd("MGET").arg(keys)).await
    }

    async fn delete(&self, key: &str) -> Result<(), KvError> {
        self.pool.query(cmd("DEL").arg(key)).await
    }

    async fn once(&self, key: &str, ttl: Duration) -> Result<bool, KvError> {
        let mut command = cmd("SET");
        command.arg(key).arg("").arg("NX").arg("PX").arg(millis(ttl));
        let done: Option<String> = self.pool.query(&command).await?;
        Ok(done.is_some())
    }

    async fn add_member(&self, key: &str, member: &str, ttl: Duration) -> Result<(), KvError> {
        let mut commands = pipe();
        commands.atomic();
        commands.cmd("SADD").arg(key).arg(member).ignore();
        commands.cmd("PEXPIRE").arg(key).arg(millis(ttl)).ignore();
        self.pool.pipeline(&commands).await
    }

    async fn remove_member(&self, key: &str, member: &str) -> Result<(), KvError> {
        self.pool.query(cmd("SREM").arg(key).arg(member)).await
    }

    async fn members(&self, key: &str) -> Result<Vec<String>, KvError> {
        self.pool.query(cmd("SMEMBERS").arg(key)).await
    }

    async fn push_recent(&self, key: &str, member: &str, max: usize, ttl: Duration) -> Result<Vec<String>, KvError> {
        let mut call = self.scripts.push_recent.key(key);
        call.arg(member).arg(max).arg(millis(ttl));
        self.pool.script(&call).await
    }

    async fn remove_recent(&self, key: &str, member: &str) -> Result<(), KvError> {
        self.pool.query(cmd("ZREM").arg(key).arg(member)).await
    }

    async fn acquire(&self, key: &str, holder: &str, ttl: Duration) -> Result<Option<Lease>, KvError> {
        let mut call = self.scripts.acquire.key(key);
        call.key(fence_key(key))
            .arg(holder)
            .arg(millis(ttl))
            .arg(millis(ttl + FENCE_RETENTION));
        let fence: Option<u64> = self.pool.script(&call).await?;
        Ok(fence.map(|fence| Lease {
            key: key.to_owned(),
            holder: holder.to_owned(),
            fence,
        }))
    }

    async fn steal_lease(&self, key: &str, holder: &str, ttl: Duration) -> Result<Lease, KvError> {
        let mut call = self.scripts.steal_lease.key(key);
        call.key(fence_key(key))
            .arg(holder)
            .arg(millis(ttl))
            .arg(millis(ttl + FENCE_RETENTION));
        Ok(Lease {
            key: key.to_owned(),
            holder: holder.to_owned(),
            fence: self.pool.script(&call).await?,
        })
    }

    async fn restore(&self, lease: &Lease, ttl: Duration) -> Result<bool, KvError> {
        let mut call = self.scripts.restore.key(&lease.key);
        call.key(fence_key(&lease.key))
            .arg(&lease.holder)
            .arg(millis(ttl))
            .arg(millis(ttl + FENCE_RETENTION))
            .arg(lease.fence);
        self.pool.script(&call).await
    }

    async fn set_if_leased(&self, lease: &Lease, key: &str, value: &str, ttl: Duration) -> Result<bool, KvError> {
        let mut call = self.scripts.set_if_leased.key(&lease.key);
        call.key(key).arg(lease_value(lease)).arg(value).arg(millis(ttl));
        self.pool.script(&call).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, KvError> {
        self.pool
            .script(
                self.scripts
                    .renew
                    .key(&lease.key)
                    .arg(lease_value(lease))
                    .arg(millis(ttl)),
            )
            .await
    }

    async fn release(&self, lease: &Lease) -> Result<(), KvError> {
        self.pool
            .script(self.scripts.release.key(&lease.key).arg(lease_value(lease)))
            .await
    }

    async fn check(&self) -> Result<(), KvError> {
        // A write: a replica, and a server without memory or disk, still answer PING.
        let mut command = cmd("SET");
        command.arg(keys::HEALTH).arg("").arg("PX").arg(millis(HEALTH_TTL));
        self.pool.query(&command).await
    }
}

fn quota_call<'a>(script: &'a Script, quotas: &[Quota]) -> ScriptInvocation<'a> {
    let mut call = script.prepare_invoke();
    for quota in quotas {
        let period = u64::try_from(quota.period.as_micros()).unwrap_or(u64::MAX);
        call.key(&quota.key)
            .arg(quota.limit)
            .arg(period)
            .arg(quota.units.max(1));
    }
    call
}

/// Returns the value of the lease's key.
fn lease_value(lease: &Lease) -> String {
    format!("{}:{}", lease.fence, lease.holder)
}

/// Returns the key of the last fence, in the cluster slot of its lease: that of the key's `{tag}`, or of the whole key
/// without a tag.
fn fence_key(key: &str) -> String {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    match tag {
        Some((tag, _)) if !tag.is_empty() => format!("{key}:fence"),
        _ => format!("{{{key}}}:fence"),
    }
}

/// Returns at least 1, because Redis rejects a time to live of zero.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// Converts the result of PTTL, which is -2 for a missing key.
fn from_pttl(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

#[cfg(test)]
mod tests;
