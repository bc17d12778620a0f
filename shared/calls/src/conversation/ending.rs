//! The end of a session: last words are played before the socket closes.

use std::time::Duration;

use tokio::time::Instant;

use super::timers::Deadline;

/// Time that speech synthesis needs to start.
const SYNTHESIS_DELAY: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Ending {
    /// The last words should be played by then; the session closes in any case.
    close_at: Deadline,
    is_closed: bool,
}

impl Ending {
    pub fn begin(&mut self, time_to_speak: Duration, now: Instant) {
        self.close_at.set(now + time_to_speak + SYNTHESIS_DELAY);
    }

    /// The last words are being spoken. The session is not closed yet.
    pub fn is_pending(&self) -> bool {
        self.close_at.is_set()
    }

    pub fn has_begun(&self) -> bool {
        self.is_closed || self.is_pending()
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed
    }

    pub fn is_overdue(&mut self, now: Instant) -> bool {
        self.close_at.take_due(now)
    }

    pub fn close(&mut self) {
        self.close_at.clear();
        self.is_closed = true;
    }

    pub fn deadline(&self) -> Deadline {
        self.close_at
    }
}
