//! Ten wrong tokens from one address, and the address waits a quarter of an hour. Counted for all replicas together.

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

const ALLOWED: u64 = 10;
const SPAN: Duration = Duration::from_secs(15 * 60);
/// How long "not locked" is believed without asking again.
const CACHE_TTL: Duration = Duration::from_millis(800);

pub struct Lockout {
    kv: Arc<dyn Kv>,
    clock: Clock,
    free: Cache<IpAddr, ()>,
}

impl Lockout {
    pub fn new(kv: Arc<dyn Kv>, clock: Clock) -> Self {
        Self {
            kv,
            clock,
            free: Cache::builder().max_capacity(100_000).time_to_live(CACHE_TTL).build(),
        }
    }

    /// Refuses an address that is locked out, whatever token it brings.
    pub async fn check(&self, peer: IpAddr) -> Result<(), Failure> {
        let peer = counted(peer);
        if self.free.contains_key(&peer) {
            return Ok(());
        }
        match self.kv.get(&keys::auth_lock(peer)).await.map_err(unavailable)? {
            Some(until) => Err(self.locked(&until)),
            None => {
                self.free.insert(peer, ());
                Ok(())
            }
        }
    }

    /// Counts a wrong token; returns how many more are allowed, or the lock-out itself.
    pub async fn failed(&self, peer: IpAddr) -> Result<u64, Failure> {
        let peer = counted(peer);
        let (count, _) = self
            .kv
            .increment(&keys::auth_failures(peer), SPAN)
            .await
            .map_err(unavailable)?;
        if count >= ALLOWED {
            let until = (self.clock.now() + SPAN).to_rfc3339_opts(SecondsFormat::Secs, true);
            self.kv
                .set(&keys::auth_lock(peer), &until, SPAN)
                .await
                .map_err(unavailable)?;
            self.kv.delete(&keys::auth_failures(peer)).await.map_err(unavailable)?;
            self.free.invalidate(&peer);
        }
        Ok(ALLOWED.saturating_sub(count))
    }

    fn locked(&self, until: &str) -> Failure {
        let left = until.parse::<Timestamp>().map_or(SPAN.as_secs(), |until| {
            u64::try_from((until - self.clock.now()).num_seconds())
                .unwrap_or(0)
                .max(1)
        });
        Failure::new(Code::AuthLockedOut, "too many wrong tokens from this address")
            .retry_after(left)
            .detail("retry_after_seconds", left)
            .detail("lockedUntil", until)
            .detail("locked_until", until)
    }
}

/// IPv6 hosts own a /64 at least, so that is what is counted.
fn counted(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(v6) => {
            let s = v6.segments();
            IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

fn unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "the lock-out can't be checked");
    Failure::unavailable("the check of your token can't be made right now")
}
