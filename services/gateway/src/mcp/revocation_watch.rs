//! Ends the streams and waits of revoked and expired tokens. The bus reports most revocations at once; this loop reads recent
//! ones from the database, so that a lost notification keeps no stream open, and an expiry needs none.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use butt_dial_domain::{Clock, clock::Timestamp};
use butt_dial_identity::Guard;
use butt_dial_runtime::{Lifecycle, Platform};
use butt_dial_sessions::RevocationFeed;
use chrono::TimeDelta;

const INTERVAL: Duration = Duration::from_millis(500);
/// Time that each read goes back before the previous one: clocks of replicas differ, and transactions commit late.
const OVERLAP: TimeDelta = TimeDelta::seconds(10);

pub fn start(platform: &Platform, revocations: &RevocationFeed, lifecycle: &Lifecycle) {
    let watch = Arc::new(Watch {
        guard: platform.product.guard.clone(),
        revocations: revocations.clone(),
        read_until: Mutex::new(platform.clock.now()),
        clock: platform.clock.clone(),
    });
    lifecycle.spawn_periodic(INTERVAL, move || {
        let watch = watch.clone();
        async move { watch.read().await }
    });
}

struct Watch {
    guard: Arc<Guard>,
    revocations: RevocationFeed,
    clock: Clock,
    /// Stays when a read fails, so that the next one covers the same time.
    read_until: Mutex<Timestamp>,
}

impl Watch {
    async fn read(&self) {
        let now = self.clock.now();
        if !self.revocations.is_in_use() {
            // A token that is checked now is read with the next overlap, also if its stream opens later.
            *self.read_until.lock().unwrap_or_else(PoisonError::into_inner) = now;
            return;
        }
        let since = *self.read_until.lock().unwrap_or_else(PoisonError::into_inner) - OVERLAP;
        match self.guard.list_ended_tokens(since).await {
            Ok(ended) => {
                for (agent, at) in ended {
                    self.revocations.end_before(agent, at);
                }
                *self.read_until.lock().unwrap_or_else(PoisonError::into_inner) = now;
            }
            Err(failure) => tracing::debug!(%failure, "recent revocations not read; the next read repeats it"),
        }
    }
}
