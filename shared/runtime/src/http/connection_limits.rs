//! Limits of open connections: all together, and of one client address. One client must not use up the descriptors.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::TrustedProxies;

/// Descriptors that connections leave to backends, carriers and files.
const RESERVED_DESCRIPTORS: usize = 256;
/// The limit of a process without a limit of descriptors, or with a very high one.
const MAX_CONNECTIONS: usize = 200_000;
/// From this share of the connections on, silent clients have less time, in percent.
const CROWDED_PERCENT: usize = 60;

/// Raises the soft limit of open files to the hard limit, and returns the number of connections that it allows.
pub fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum;
    let mut soft = limit.current;
    if soft != hard {
        let raised = Rlimit {
            current: hard,
            maximum: hard,
        };
        match setrlimit(Resource::Nofile, raised) {
            Ok(()) => soft = hard,
            Err(error) => tracing::warn!(%error, "limit of open files not raised"),
        }
    }
    let files = soft.map_or(usize::MAX, |files| usize::try_from(files).unwrap_or(usize::MAX));
    // With very few descriptors, half of them.
    let connections = files.saturating_sub(RESERVED_DESCRIPTORS).max(files / 2);
    connections.min(MAX_CONNECTIONS)
}

/// Counts connections. Clones share the counts.
#[derive(Clone)]
pub struct ConnectionLimits {
    inner: Arc<Inner>,
}

struct Inner {
    total: usize,
    per_address: usize,
    proxies: TrustedProxies,
    open: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// The permit of one connection. Dropping it gives its place back.
pub(super) struct Permit {
    inner: Arc<Inner>,
    counted: Option<IpAddr>,
}

impl ConnectionLimits {
    /// Proxies and this machine have no limit of their own: many clients may be behind them.
    pub fn new(total: usize, per_address: usize, proxies: TrustedProxies) -> Self {
        Self {
            inner: Arc::new(Inner {
                total,
                per_address,
                proxies,
                open: AtomicUsize::new(0),
                by_address: Mutex::default(),
            }),
        }
    }

    /// Returns a permit, or `None` beyond a limit.
    pub(super) fn admit(&self, peer: IpAddr) -> Option<Permit> {
        let peer = peer.to_canonical();
        let is_limited = !peer.is_loopback() && !self.inner.proxies.trusts(peer);
        let counted = is_limited.then(|| network(peer));
        if let Some(address) = counted {
            let mut by_address = self.inner.by_address.lock().unwrap_or_else(PoisonError::into_inner);
            let count = by_address.entry(address).or_default();
            if *count >= self.inner.per_address {
                tracing::warn!(limit = self.inner.per_address, "connection limit of client reached");
                return None;
            }
            *count += 1;
        }
        let permit = Permit {
            inner: self.inner.clone(),
            counted,
        };
        let before = self.inner.open.fetch_add(1, Ordering::Relaxed);
        if before >= self.inner.total {
            tracing::warn!(limit = self.inner.total, "connection limit reached");
            // Dropping the permit takes both counts back.
            return None;
        }
        Some(permit)
    }
}

impl Permit {
    /// Returns whether most of the connections are taken.
    pub(super) fn is_crowded(&self) -> bool {
        let open = self.inner.open.load(Ordering::Relaxed);
        open.saturating_mul(100) > self.inner.total.saturating_mul(CROWDED_PERCENT)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inner.open.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.counted else { return };
        let mut by_address = self.inner.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

/// Returns the /64 network of an IPv6 address, the smallest that a host is given.
fn network(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(total: usize, per_address: usize) -> ConnectionLimits {
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()]);
        ConnectionLimits::new(total, per_address, proxies)
    }

    fn admit(limits: &ConnectionLimits, peer: &str) -> Option<Permit> {
        limits.admit(peer.parse().unwrap())
    }

    #[test]
    fn limits_connections_of_one_address() {
        let limits = limits(100, 2);
        let held = [
            admit(&limits, "9.9.9.9").unwrap(),
            admit(&limits, "::ffff:9.9.9.9").unwrap(),
        ];
        assert!(admit(&limits, "9.9.9.9").is_none());
        assert!(admit(&limits, "9.9.9.8").is_some());
        let _v6 = [
            admit(&limits, "2001:db8::1").unwrap(),
            admit(&limits, "2001:db8::2").unwrap(),
        ];
        assert!(admit(&limits, "2001:db8::3").is_none(), "the same /64");
        assert!(admit(&limits, "2001:db8:0:1::3").is_some());
        let _exempt: Vec<_> = ["127.0.0.1", "10.0.0.7"]
            .iter()
            .flat_map(|peer| [peer; 3])
            .map(|peer| admit(&limits, peer).unwrap())
            .collect();
        drop(held);
        assert!(admit(&limits, "9.9.9.9").is_some());
    }

    #[test]
    fn limits_all_connections() {
        let limits = limits(5, 100);
        let mut held = Vec::new();
        for is_crowded in [false, false, false, true, true] {
            held.push(admit(&limits, "127.0.0.1").unwrap());
            assert_eq!(held.last().unwrap().is_crowded(), is_crowded);
        }
        assert!(admit(&limits, "127.0.0.1").is_none());
        held.pop();
        assert!(
            admit(&limits, "127.0.0.1").is_some(),
            "a refused connection is not counted"
        );
    }
}
