//! Runs one fetch at a time per process, and one more if another was requested meanwhile. Every applied batch of webhook events
//! requests a fetch; concurrent ones would only repeat each other's queries.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Running,
    /// Running, and requested again.
    Requested,
}

/// The state that is shared by all requests. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct SingleFlight(Arc<Mutex<State>>);

/// The right to run. Dropping it, even by a panic, lets the next request run.
pub(super) struct Flight {
    state: SingleFlight,
    is_over: bool,
}

impl SingleFlight {
    /// Starts a flight. Returns `None` if one is running, which then runs once more.
    pub fn start(&self) -> Option<Flight> {
        let mut state = self.lock();
        if *state == State::Idle {
            *state = State::Running;
            return Some(Flight {
                state: self.clone(),
                is_over: false,
            });
        }
        *state = State::Requested;
        None
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flight {
    /// Ends a run. Returns the flight if another run was requested meanwhile; otherwise the next request starts a new one.
    pub fn finish(mut self) -> Option<Self> {
        let shared = self.state.clone();
        let mut state = shared.lock();
        if *state == State::Requested {
            *state = State::Running;
            drop(state);
            return Some(self);
        }
        *state = State::Idle;
        self.is_over = true;
        None
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.is_over {
            *self.state.lock() = State::Idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_once_more_for_all_requests_during_a_run() {
        let fetching = SingleFlight::default();
        let flight = fetching.start().unwrap();
        for _ in 0..3 {
            assert!(fetching.start().is_none());
        }
        let flight = flight.finish().unwrap();
        assert!(flight.finish().is_none(), "one more run serves all of them");
        drop(fetching.start().unwrap());
        assert!(fetching.start().is_some());
    }
}
