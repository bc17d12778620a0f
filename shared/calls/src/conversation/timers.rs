//! Deadlines of a conversation. Time is a parameter; no method reads a clock.

use tokio::time::Instant;

use super::super::settings::Timeouts;

/// A point in time at which something is due, or none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    pub fn set(&mut self, at: Instant) {
        self.0 = Some(at);
    }

    pub fn set_if(&mut self, condition: bool, at: Instant) {
        self.0 = condition.then_some(at);
    }

    pub fn clear(&mut self) {
        self.0 = None;
    }

    pub fn is_set(self) -> bool {
        self.0.is_some()
    }

    pub fn get(self) -> Option<Instant> {
        self.0
    }

    /// Returns true, and clears the deadline, if it has passed.
    pub fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.0.is_some_and(|at| at <= now);
        if is_due {
            self.0 = None;
        }
        is_due
    }
}

/// Deadlines for the responder, for silence, and for the whole call.
#[derive(Default)]
pub(super) struct Timers {
    /// The time at which the current reply was requested. Not a deadline.
    requested_at: Option<Instant>,
    pub filler: Deadline,
    /// The first piece of a reply, or its next piece, is overdue.
    pub reply: Deadline,
    pub silence: Deadline,
    pub voicemail: Deadline,
    pub limit: Deadline,
    /// The time at which the words of an utterance that continues were persisted. Not a deadline.
    pub partial_saved: Option<Instant>,
    /// Number of "are you still there?" prompts since the caller's last sign of life.
    pub silence_prompts: u32,
}

impl Timers {
    pub fn start_request(&mut self, timeouts: &Timeouts, now: Instant) {
        self.requested_at = Some(now);
        self.filler.set(now + timeouts.filler_after);
        self.reply.set(now + timeouts.reply_timeout);
        self.silence.clear();
    }

    pub fn stop_request(&mut self) {
        self.requested_at = None;
        self.filler.clear();
        self.reply.clear();
    }

    /// Returns the latency of the first piece of a reply, in milliseconds. `None` for later pieces.
    pub fn take_latency(&mut self, now: Instant) -> Option<u32> {
        let elapsed = now - self.requested_at.take()?;
        Some(u32::try_from(elapsed.as_millis()).unwrap_or(u32::MAX))
    }

    /// Waits for the next piece of a reply, or for none after the last one.
    pub fn await_chunk(&mut self, is_last: bool, timeouts: &Timeouts, now: Instant) {
        // The pause between two pieces can be long as well.
        self.filler.set_if(!is_last, now + timeouts.filler_interval);
        self.reply.set_if(!is_last, now + timeouts.chunk_timeout);
    }

    /// Restarts the wait for a reply, if one is pending, for a responder that has taken over.
    pub fn restart_request(&mut self, is_pending: bool, timeouts: &Timeouts, now: Instant) {
        self.reply.set_if(is_pending, now + timeouts.reply_timeout);
        self.filler.set_if(is_pending, now + timeouts.filler_after);
    }

    /// Only the end of the session is awaited from here on.
    pub fn begin_ending(&mut self) {
        self.silence.clear();
        self.filler.clear();
        self.reply.clear();
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn deadlines(&self) -> [Deadline; 5] {
        [self.filler, self.reply, self.silence, self.voicemail, self.limit]
    }
}
