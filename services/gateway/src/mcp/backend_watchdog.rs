//! Closes legacy SSE streams when a backend fails. Legacy clients have no timeout and only log an error on their POST, so a
//! lost message leaves them waiting forever; a closed stream is noticed at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use butt_dial_runtime::{Lifecycle, Platform, health};
use butt_dial_sessions::StreamRelay;
use tokio::time::Instant;

const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// A slower backend fails the check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Failed checks in a row before streams are closed. One slow response is no outage, and clients may not reconnect.
const MAX_FAILURES: u32 = 3;

pub fn start(platform: &Platform, streams: &StreamRelay, lifecycle: &Lifecycle) {
    let (platform, streams, failures) = (platform.clone(), streams.clone(), Arc::new(AtomicU32::new(0)));
    lifecycle.spawn_periodic(CHECK_INTERVAL, move || {
        let (platform, streams, failures) = (platform.clone(), streams.clone(), failures.clone());
        async move { check(&platform, &streams, &failures).await }
    });
}

async fn check(platform: &Platform, streams: &StreamRelay, failures: &AtomicU32) {
    if streams.is_empty() {
        return;
    }
    let started = Instant::now();
    if health::check(platform, CHECK_TIMEOUT).await.iter().all(|(_, ok)| *ok) {
        failures.store(0, Ordering::Relaxed);
        streams.restore_lost_entries().await;
    } else if failures.fetch_add(1, Ordering::Relaxed) + 1 >= MAX_FAILURES {
        let closed = streams.close_legacy();
        let millis = started.elapsed().as_millis() as u64;
        tracing::warn!(closed, millis, "legacy streams closed: backend unavailable");
    }
}
