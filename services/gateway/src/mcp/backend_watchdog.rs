//! Legacy SSE clients wait for ever when a message of theirs is lost on its way: they have no time-out, and an error on
//! the POST is only logged. So a replica that can't do its work any more closes their streams; they notice that at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use butt_dial_domain::keys;
use butt_dial_runtime::{Lifecycle, Platform, health};
use tokio::time::Instant;

use super::streams::Streams;

const EVERY: Duration = Duration::from_secs(1);
/// The mark that tells whether the key-value store has lost what was in it.
const MARK_TTL: Duration = Duration::from_secs(3_600);

/// One slow answer is no outage: listeners that are cut off may not come back.
const FAILURES: u32 = 3;

pub fn start(platform: &Platform, streams: &Streams, lifecycle: &Lifecycle) {
    let (platform, streams, failures) = (platform.clone(), streams.clone(), Arc::new(AtomicU32::new(0)));
    lifecycle.spawn_periodic(EVERY, move || {
        let (platform, streams, failures) = (platform.clone(), streams.clone(), failures.clone());
        async move { look(&platform, &streams, &failures).await }
    });
}

async fn look(platform: &Platform, streams: &Streams, failures: &AtomicU32) {
    if streams.is_empty() {
        return;
    }
    let begun = Instant::now();
    let well = health::check(platform).await.iter().all(|(_, ok)| *ok);
    if well {
        failures.store(0, Ordering::Relaxed);
    } else if failures.fetch_add(1, Ordering::Relaxed) + 1 < FAILURES {
        return;
    } else {
        let closed = streams.close_legacy();
        tracing::warn!(
            closed,
            millis = begun.elapsed().as_millis() as u64,
            "streams closed: a backend does not answer"
        );
        return;
    }
    let (kv, mark) = (&platform.comms.kv, keys::replica_mark(streams.replica()));
    // An entry that is gone although it should be there: Redis came back empty, and nobody would find our streams.
    if matches!(kv.get(&mark).await, Ok(None)) {
        streams.beat().await;
        if let Err(error) = kv.set(&mark, "1", MARK_TTL).await {
            tracing::warn!(%error, "the mark of this replica can't be set");
        }
    }
}
