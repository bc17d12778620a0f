//! Whether this program has stood still: a process or its host that is stopped for some seconds, and goes on. Its calls have
//! been taken over then, and what lies in their sockets is not to be acted on before that is known.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_comms::calls::relays;
use tokio::time::Instant;

/// Without a beat for so long, others begin to look after our calls.
const TOO_LONG: Duration = relay_registry::HEARTBEAT_INTERVAL.saturating_mul(2);

pub struct StallDetector(Mutex<State>);

struct State {
    last: Instant,
    /// When it was found out last that there had been none for too long.
    stood_still: Option<Instant>,
}

impl StallDetector {
    pub fn new() -> Self {
        Self(Mutex::new(State {
            last: Instant::now(),
            stood_still: None,
        }))
    }

    /// To be called all the time.
    pub fn beat(&self) {
        self.look().last = Instant::now();
    }

    /// Whether there was a stand-still after `since`.
    pub fn stood_still_since(&self, since: Instant) -> bool {
        self.look().stood_still.is_some_and(|at| at > since)
    }

    fn look(&self) -> MutexGuard<'_, State> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now - state.last > TOO_LONG {
            (state.last, state.stood_still) = (now, Some(now));
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, pause};

    use super::*;

    #[tokio::test]
    async fn a_stand_still_is_seen_by_everybody_whoever_sees_it_first() {
        pause();
        let (pulse, begun) = (StallDetector::new(), Instant::now());
        advance(relay_registry::HEARTBEAT_INTERVAL).await;
        pulse.beat();
        assert!(!pulse.stood_still_since(begun));
        advance(2 * TOO_LONG).await;
        let before = Instant::now() - relay_registry::HEARTBEAT_INTERVAL;
        pulse.beat();
        assert!(pulse.stood_still_since(before) && pulse.stood_still_since(begun));
        assert!(!pulse.stood_still_since(Instant::now()), "it is over");
        advance(2 * TOO_LONG).await;
        assert!(
            pulse.stood_still_since(before + relay_registry::HEARTBEAT_INTERVAL),
            "before any beat"
        );
    }
}
