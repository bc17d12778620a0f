//! Detects stalls of this program: a process or host that was suspended for some seconds. Other relays have taken over its
//! calls by then, so frames that waited in its sockets must not be handled before ownership is checked.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_calls::relay_registry::HEARTBEAT_INTERVAL;
use tokio::time::Instant;

/// Without a beat for this time, other relays begin to take over the calls.
const STALL_THRESHOLD: Duration = HEARTBEAT_INTERVAL.saturating_mul(2);

pub struct StallDetector(Mutex<State>);

struct State {
    last_beat: Instant,
    /// The time at which the last stall was detected.
    stalled_at: Option<Instant>,
}

impl StallDetector {
    pub fn new() -> Self {
        Self(Mutex::new(State {
            last_beat: Instant::now(),
            stalled_at: None,
        }))
    }

    /// Records that the program runs. To be called more often than `STALL_THRESHOLD`.
    pub fn beat(&self) {
        self.check().last_beat = Instant::now();
    }

    /// Returns whether a stall was detected after `since`.
    pub fn has_stalled_since(&self, since: Instant) -> bool {
        self.check().stalled_at.is_some_and(|at| at > since)
    }

    fn check(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now - state.last_beat > STALL_THRESHOLD {
            (state.last_beat, state.stalled_at) = (now, Some(now));
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn every_session_sees_a_stall_once() {
        let (detector, started) = (StallDetector::new(), Instant::now());
        advance(HEARTBEAT_INTERVAL).await;
        detector.beat();
        assert!(!detector.has_stalled_since(started));
        advance(2 * STALL_THRESHOLD).await;
        let before = Instant::now() - HEARTBEAT_INTERVAL;
        detector.beat();
        assert!(detector.has_stalled_since(before) && detector.has_stalled_since(started));
        assert!(!detector.has_stalled_since(Instant::now()), "the stall is over");
        advance(2 * STALL_THRESHOLD).await;
        assert!(
            detector.has_stalled_since(before + HEARTBEAT_INTERVAL),
            "before any beat"
        );
    }
}
