//! How long statements wait for a connection of the pool: the sign of a pool that is too small, or of statements that are too slow.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Counts the waits of a pool since the start.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    started: AtomicU64,
    ended: AtomicU64,
    nanoseconds: AtomicU64,
}

/// A wait that ends when it is dropped, also when its statement is given up.
struct Wait<'a> {
    waits: &'a Waits,
    since: Instant,
}

impl Waits {
    /// Runs the acquisition of a connection and counts its time.
    pub(crate) async fn measure<T>(&self, acquisition: impl Future<Output = T>) -> T {
        self.started.fetch_add(1, Relaxed);
        let _wait = Wait {
            waits: self,
            since: Instant::now(),
        };
        acquisition.await
    }

    /// Returns the number of statements that wait.
    pub(crate) fn waiting(&self) -> u64 {
        // In this order, so that a wait that ends meanwhile does not make it negative.
        let ended = self.ended.load(Relaxed);
        self.started.load(Relaxed).saturating_sub(ended)
    }

    /// Returns the number of ended waits and their sum.
    pub(crate) fn ended(&self) -> (u64, Duration) {
        let sum = Duration::from_nanos(self.nanoseconds.load(Relaxed));
        (self.ended.load(Relaxed), sum)
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let nanoseconds = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.waits.nanoseconds.fetch_add(nanoseconds, Relaxed);
        self.waits.ended.fetch_add(1, Relaxed);
    }
}
