//! Lock-out of addresses that guess: ten unknown tokens within 15 minutes lock an address for 15 minutes. All replicas share the
//! count. The lock refuses unknown tokens only, so that a guesser does not lock out other clients of the same address.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use butt_dial_domain::{
    Clock, Code, Failure,
    clock::Timestamp,
    keys,
    ports::kv::{Kv, KvError},
};
use chrono::SecondsFormat;
use moka::sync::Cache;

pub const MAX_FAILURES: u64 = 10;
const LOCK_DURATION: Duration = Duration::from_secs(15 * 60);
/// How long the answer "not locked" is cached.
const CACHE_TTL: Duration = Duration::from_millis(800);

pub struct Lockout {
    kv: Arc<dyn Kv>,
    clock: Clock,
    not_locked: Cache<IpAddr, ()>,
}

impl Lockout {
    pub fn new(kv: Arc<dyn Kv>, clock: Clock) -> Self {
        Self {
            kv,
            clock,
            not_locked: Cache::builder().max_capacity(100_000).time_to_live(CACHE_TTL).build(),
        }
    }

    /// Fails with `AuthLockedOut` if the address is locked.
    pub async fn check(&self, peer: IpAddr) -> Result<(), Failure> {
        let peer = counted_address(peer);
        if self.not_locked.contains_key(&peer) {
            return Ok(());
        }
        match self.kv.get(&keys::auth_lock(peer)).await.map_err(unavailable)? {
            Some(until) => Err(self.refusal(&until)),
            None => {
                self.not_locked.insert(peer, ());
                Ok(())
            }
        }
    }

    /// Counts a wrong token and locks the address at the limit. Returns how many further failures are allowed.
    pub async fn record_failure(&self, peer: IpAddr) -> Result<u64, Failure> {
        let peer = counted_address(peer);
        let (count, _) = self
            .kv
            .increment(&keys::auth_failures(peer), LOCK_DURATION)
            .await
            .map_err(unavailable)?;
        if count >= MAX_FAILURES {
            let until = (self.clock.now() + LOCK_DURATION).to_rfc3339_opts(SecondsFormat::Secs, true);
            self.kv
                .set(&keys::auth_lock(peer), &until, LOCK_DURATION)
                .await
                .map_err(unavailable)?;
            self.kv.delete(&keys::auth_failures(peer)).await.map_err(unavailable)?;
            self.not_locked.invalidate(&peer);
            tracing::warn!(%until, "address locked out after too many unknown tokens");
        }
        Ok(MAX_FAILURES.saturating_sub(count))
    }

    fn refusal(&self, until: &str) -> Failure {
        let left = until.parse::<Timestamp>().map_or(LOCK_DURATION.as_secs(), |until| {
            u64::try_from((until - self.clock.now()).num_seconds())
                .unwrap_or(0)
                .max(1)
        });
        Failure::new(Code::AuthLockedOut, "too many wrong tokens from this address")
            .hint("use a valid token, which is accepted at once, or wait: unknown tokens are refused until lockedUntil")
            .retry_after(left)
            .detail("retry_after_seconds", left)
            .detail("lockedUntil", until)
            .detail("locked_until", until)
    }
}

/// Maps an IPv6 address to its /64, the smallest network that a host is given.
fn counted_address(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let s = v6.segments();
            IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "lock-out check failed");
    Failure::unavailable("the check of your token can't be made right now")
}
