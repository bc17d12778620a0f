//! The caller's side: keys, and barge-ins that no words have followed yet.

use std::time::Duration;

use tokio::time::Instant;

use super::{super::settings::Timeouts, timers::Deadline};

/// Ends a sequence of keys.
const END_OF_KEYS: char = '#';
const MAX_KEYS: usize = 64;
/// Maximum duration of an utterance before the carrier reports any of its words.
const UTTERANCE_TIMEOUT: Duration = Duration::from_secs(10);

/// The speech that the caller has interrupted. Without words that follow, it may have been noise.
pub(super) enum BargeIn {
    /// The part of a reply that was not played. Empty if the reply was played to its end.
    Reply(String),
    /// The reply was still pending.
    PendingReply,
}

#[derive(Default)]
pub(super) struct Input {
    keys: String,
    keys_complete: Deadline,
    barge_in: Option<BargeIn>,
    /// Barge-ins that are not counted in the metrics yet.
    uncounted: u64,
    /// No words have followed the barge-in until then.
    barge_in_over: Deadline,
}

impl Input {
    /// The caller started or stopped speaking.
    pub fn on_speech(&mut self, is_speaking: bool, timeouts: &Timeouts, now: Instant) {
        let timeout = match is_speaking {
            true => UTTERANCE_TIMEOUT,
            false => timeouts.barge_in_timeout,
        };
        self.barge_in_over.set_if(self.barge_in.is_some(), now + timeout);
    }

    pub fn begin_barge_in(&mut self, barge_in: BargeIn, timeouts: &Timeouts, now: Instant) {
        self.barge_in = Some(barge_in);
        self.uncounted += 1;
        self.barge_in_over.set(now + timeouts.barge_in_timeout);
    }

    /// Words or a reply have followed.
    pub fn end_barge_in(&mut self) {
        self.barge_in = None;
        self.barge_in_over.clear();
    }

    /// Returns true if no words have followed the barge-in in time.
    pub fn is_barge_in_over(&mut self, now: Instant) -> bool {
        self.barge_in_over.take_due(now)
    }

    /// Returns the number of barge-ins since the last call.
    pub fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.uncounted)
    }

    pub fn take_barge_in(&mut self) -> Option<BargeIn> {
        self.barge_in.take()
    }

    pub fn press(&mut self, key: char, timeouts: &Timeouts, now: Instant) {
        if self.keys.len() < MAX_KEYS {
            self.keys.push(key);
        }
        // The keys are what follows the barge-in.
        self.barge_in_over.clear();
        let wait = match key {
            END_OF_KEYS => Duration::ZERO,
            _ => timeouts.dtmf_timeout,
        };
        self.keys_complete.set(now + wait);
    }

    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Returns the keys once they are complete.
    pub fn take_keys(&mut self, now: Instant) -> Option<String> {
        let is_due = self.keys_complete.take_due(now);
        is_due.then(|| std::mem::take(&mut self.keys))
    }

    pub fn clear_deadlines(&mut self) {
        self.keys_complete.clear();
        self.barge_in_over.clear();
    }

    pub fn deadlines(&self) -> [Deadline; 2] {
        [self.keys_complete, self.barge_in_over]
    }
}
