//! Lock-out of guessers: too many unknown tokens within 15 minutes lock an address, its site, or the beginning that the tokens
//! share, for 15 minutes. All replicas share the counts. The lock refuses unknown tokens only, so that a guesser does not lock out
//! other clients of the same address.

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

use crate::token;

pub const MAX_FAILURES: u64 = 10;
/// Of all networks of a /48 together, which one customer of a provider is given: a guesser has 65536 networks of /64 there.
const MAX_SITE_FAILURES: u64 = 50;
/// Of all addresses together, for tokens with the same beginning: a guesser with many addresses who knows a part of a token.
/// Clients with many addresses may share one wrong token, so it is more.
const MAX_PREFIX_FAILURES: u64 = 100;
/// Characters that count as the beginning of a token: its kind and 48 of its 256 random bits, too many for chance.
const PREFIX_LENGTH: usize = 12;
const LOCK_DURATION: Duration = Duration::from_secs(15 * 60);
/// How long the answer "not locked" is cached.
const CACHE_TTL: Duration = Duration::from_millis(800);

pub struct Lockout {
    kv: Arc<dyn Kv>,
    clock: Clock,
    not_locked: Cache<String, ()>,
}

impl Lockout {
    pub fn new(kv: Arc<dyn Kv>, clock: Clock) -> Self {
        Self {
            kv,
            clock,
            not_locked: Cache::builder().max_capacity(100_000).time_to_live(CACHE_TTL).build(),
        }
    }

    /// Fails with `AuthLockedOut` if unknown tokens of the address, or like this one, are locked out.
    pub async fn check(&self, peer: IpAddr, secret: &str) -> Result<(), Failure> {
        for counted in counted(peer, secret) {
            if self.not_locked.contains_key(&counted.id) {
                continue;
            }
            if let Some(until) = self.kv.get(&keys::auth_lock(&counted.id)).await.map_err(unavailable)? {
                return Err(self.refusal(&counted, &until));
            }
            self.not_locked.insert(counted.id, ());
        }
        Ok(())
    }

    /// Counts a wrong token, and locks at a limit. Returns how many further failures are allowed.
    pub async fn record_failure(&self, peer: IpAddr, secret: &str) -> Result<u64, Failure> {
        let mut remaining = u64::MAX;
        let mut locked = false;
        for counted in counted(peer, secret) {
            let key = keys::auth_failures(&counted.id);
            let (count, _) = self.kv.increment(&key, LOCK_DURATION).await.map_err(unavailable)?;
            if count >= counted.limit {
                let until = (self.clock.now() + LOCK_DURATION).to_rfc3339_opts(SecondsFormat::Secs, true);
                self.kv
                    .set(&keys::auth_lock(&counted.id), &until, LOCK_DURATION)
                    .await
                    .map_err(unavailable)?;
                self.kv.delete(&key).await.map_err(unavailable)?;
                self.not_locked.invalidate(&counted.id);
                locked = true;
                tracing::warn!(%until, of = counted.kind, "locked out after too many unknown tokens");
            }
            remaining = remaining.min(counted.limit.saturating_sub(count));
        }
        self.count(locked).await;
        Ok(remaining)
    }

    /// Counts a wrong token for the anomaly detectors. The lock-out does not depend on it.
    async fn count(&self, locked: bool) {
        let bucket = keys::five_minutes(self.clock.now());
        let lockouts = locked.then(|| keys::token_lockouts_in(bucket));
        for key in [Some(keys::token_failures_in(bucket)), lockouts].into_iter().flatten() {
            if let Err(error) = self.kv.increment(&key, LOCK_DURATION).await {
                tracing::warn!(%error, "wrong token not counted for anomalies");
            }
        }
    }

    fn refusal(&self, counted: &Counted, until: &str) -> Failure {
        let left = until.parse::<Timestamp>().map_or(LOCK_DURATION.as_secs(), |until| {
            u64::try_from((until - self.clock.now()).num_seconds())
                .unwrap_or(0)
                .max(1)
        });
        Failure::new(Code::AuthLockedOut, counted.message)
            .hint("use a valid token, which is accepted at once, or wait: unknown tokens are refused until lockedUntil")
            .retry_after(left)
            .detail("retry_after_seconds", left)
            .detail("lockedUntil", until)
            .detail("locked_until", until)
    }
}

/// A count of wrong tokens.
struct Counted {
    /// Its id in keys.
    id: String,
    kind: &'static str,
    limit: u64,
    message: &'static str,
}

/// Returns what a wrong token counts against: its address (of IPv6 the /64, the smallest network that a host is given), the /48
/// of IPv6, and the beginning of the token.
fn counted(peer: IpAddr, secret: &str) -> impl Iterator<Item = Counted> {
    const FROM_HERE: &str = "too many wrong tokens from this address";
    let (address, site) = match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            let address = IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0));
            (address, Some(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)))
        }
        address => (address, None),
    };
    let address = Counted {
        id: address.to_string(),
        kind: "address",
        limit: MAX_FAILURES,
        message: FROM_HERE,
    };
    let site = site.map(|site| Counted {
        id: format!("{site}/48"),
        kind: "site",
        limit: MAX_SITE_FAILURES,
        message: FROM_HERE,
    });
    // The beginning itself is not written down: a token with a typing error begins like the right one.
    let prefix: String = secret.chars().take(PREFIX_LENGTH).collect();
    let prefix = Counted {
        id: format!("token:{}", hex::encode(&token::hash(&prefix)[..16])),
        kind: "token prefix",
        limit: MAX_PREFIX_FAILURES,
        message: "too many wrong tokens that begin like this one",
    };
    [address].into_iter().chain(site).chain([prefix])
}

fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "lock-out check failed");
    Failure::unavailable("the check of your token can't be made right now")
}

#[cfg(test)]
mod tests {
    use butt_dial_kv::MemoryKv;

    use super::*;

    async fn is_locked(lockout: &Lockout, peer: &str, secret: &str) -> bool {
        lockout.not_locked.invalidate_all();
        lockout.check(peer.parse().unwrap(), secret).await.is_err()
    }

    fn new() -> Lockout {
        let clock = Clock::System;
        Lockout::new(Arc::new(MemoryKv::new(clock.clone())), clock)
    }

    #[tokio::test]
    async fn wrong_tokens_of_many_networks_lock_their_site() {
        let lockout = new();
        for network in 0..MAX_SITE_FAILURES {
            assert!(!is_locked(&lockout, "2001:db8:1:ffff::1", "x").await);
            let peer = format!("2001:db8:1:{network:x}::1");
            let secret = token::generate("bda_");
            lockout.record_failure(peer.parse().unwrap(), &secret).await.unwrap();
        }
        assert!(is_locked(&lockout, "2001:db8:1:ffff::1", "x").await);
        assert!(!is_locked(&lockout, "2001:db8:2::1", "x").await, "another site");
        for _ in 0..MAX_FAILURES {
            assert!(!is_locked(&lockout, "9.9.9.9", "x").await);
            let secret = token::generate("bda_");
            lockout
                .record_failure("9.9.9.9".parse().unwrap(), &secret)
                .await
                .unwrap();
        }
        assert!(is_locked(&lockout, "::ffff:9.9.9.9", "x").await);
        assert!(!is_locked(&lockout, "9.9.9.8", "x").await);
    }

    #[tokio::test]
    async fn wrong_tokens_of_many_addresses_lock_their_beginning() {
        let (lockout, known) = (new(), &token::generate("bda_")[..PREFIX_LENGTH]);
        for last in 0..MAX_PREFIX_FAILURES {
            let guess = format!("{known}{last}");
            assert!(!is_locked(&lockout, "9.9.9.9", &guess).await);
            let peer = format!("10.0.0.{last}");
            lockout.record_failure(peer.parse().unwrap(), &guess).await.unwrap();
        }
        let failure = lockout.check("9.9.9.9".parse().unwrap(), &format!("{known}x")).await;
        let failure = failure.unwrap_err();
        assert_eq!(failure.code, Code::AuthLockedOut);
        assert!(failure.remediation.is_some() && !failure.to_string().contains(known));
        assert!(
            !is_locked(&lockout, "9.9.9.9", &token::generate("bda_")).await,
            "another beginning"
        );
    }
}
