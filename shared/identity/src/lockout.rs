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
/// Of all networks of a /48 together, which one customer of a provider is given: a guesser has 65536 networks of /64 there.
const MAX_SITE_FAILURES: u64 = 50;
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
        let counted = Counted::of(peer);
        if self.not_locked.contains_key(&counted.address) {
            return Ok(());
        }
        for (network, _) in counted.networks() {
            if let Some(until) = self.kv.get(&keys::auth_lock(network)).await.map_err(unavailable)? {
                return Err(self.refusal(&until));
            }
        }
        self.not_locked.insert(counted.address, ());
        Ok(())
    }

    /// Counts a wrong token and locks the address at the limit. Returns how many further failures are allowed.
    pub async fn record_failure(&self, peer: IpAddr) -> Result<u64, Failure> {
        let counted = Counted::of(peer);
        let mut remaining = u64::MAX;
        for (network, limit) in counted.networks() {
            let key = keys::auth_failures(&network);
            let (count, _) = self.kv.increment(&key, LOCK_DURATION).await.map_err(unavailable)?;
            if count >= limit {
                let until = (self.clock.now() + LOCK_DURATION).to_rfc3339_opts(SecondsFormat::Secs, true);
                self.kv
                    .set(&keys::auth_lock(&network), &until, LOCK_DURATION)
                    .await
                    .map_err(unavailable)?;
                self.kv.delete(&key).await.map_err(unavailable)?;
                self.not_locked.invalidate(&counted.address);
                tracing::warn!(%until, "address locked out after too many unknown tokens");
            }
            remaining = remaining.min(limit.saturating_sub(count));
        }
        Ok(remaining)
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

/// The networks that a wrong token counts against.
struct Counted {
    /// The address; of IPv6 its /64, the smallest network that a host is given.
    address: IpAddr,
    /// Of IPv6: the /48.
    site: Option<Ipv6Addr>,
}

impl Counted {
    fn of(peer: IpAddr) -> Self {
        match peer.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self {
                    address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)),
                    site: Some(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)),
                }
            }
            address => Self { address, site: None },
        }
    }

    /// Returns the counted networks with the limit of each.
    fn networks(&self) -> impl Iterator<Item = (String, u64)> {
        let site = self.site.map(|site| (format!("{site}/48"), MAX_SITE_FAILURES));
        [(self.address.to_string(), MAX_FAILURES)].into_iter().chain(site)
    }
}

fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "lock-out check failed");
    Failure::unavailable("the check of your token can't be made right now")
}

#[cfg(test)]
mod tests {
    use butt_dial_kv::MemoryKv;

    use super::*;

    async fn is_locked(lockout: &Lockout, peer: &str) -> bool {
        lockout.not_locked.invalidate_all();
        lockout.check(peer.parse().unwrap()).await.is_err()
    }

    #[tokio::test]
    async fn wrong_tokens_of_many_networks_lock_their_site() {
        let clock = Clock::System;
        let lockout = Lockout::new(Arc::new(MemoryKv::new(clock.clone())), clock);
        for network in 0..MAX_SITE_FAILURES {
            assert!(!is_locked(&lockout, "2001:db8:1:ffff::1").await);
            let peer = format!("2001:db8:1:{network:x}::1");
            lockout.record_failure(peer.parse().unwrap()).await.unwrap();
        }
        assert!(is_locked(&lockout, "2001:db8:1:ffff::1").await);
        assert!(!is_locked(&lockout, "2001:db8:2::1").await, "another site");
        for _ in 0..MAX_FAILURES {
            assert!(!is_locked(&lockout, "9.9.9.9").await);
            lockout.record_failure("9.9.9.9".parse().unwrap()).await.unwrap();
        }
        assert!(is_locked(&lockout, "::ffff:9.9.9.9").await);
        assert!(!is_locked(&lockout, "9.9.9.8").await);
    }
}
