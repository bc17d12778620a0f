//! The caller's side: words that are not complete yet, keys, and barge-ins that no words have followed yet.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    super::{playback::after_prefix, settings::Timeouts},
    timers::Deadline,
};

/// Ends a sequence of keys, unless the call has another key for it.
pub(super) const END_OF_KEYS: &str = "#";
const MAX_KEYS: usize = 64;
/// Maximum duration of an utterance before the carrier reports any of its words.
const UTTERANCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the next words of an utterance, or its end. Carriers report words several times in a second. Then the words
/// so far are the utterance.
const PARTIAL_TIMEOUT: Duration = Duration::from_secs(6);
/// The same, after the carrier has reported the end of the speech.
const FINAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Pressed keys wait this long for the end of an utterance that has begun.
const KEYS_TIMEOUT: Duration = Duration::from_secs(8);
/// The same words again within this time are a repeated frame. Two utterances are further apart.
const REPETITION: Duration = Duration::from_millis(100);
/// The same, if the caller has heard no speech in between.
const SILENT_REPETITION: Duration = Duration::from_millis(300);
/// Time in which the end of an utterance can follow that was answered without it.
const LATE_FINAL: Duration = Duration::from_secs(15);

/// The speech that the caller has interrupted. Without words that follow, it may have been noise.
pub(super) enum BargeIn {
    /// The part of a reply that was not played. Empty if the reply was played to its end.
    Reply {
        rest: String,
        /// BCP 47. `None`: the language of the call.
        language: Option<String>,
    },
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
    /// The end of an utterance with known words is overdue by then.
    utterance_over: Deadline,
    /// The last complete utterance.
    last_words: Option<(String, Instant)>,
    /// The caller has heard speech since.
    has_heard: bool,
    /// The last utterance that was answered without its end.
    answered_partial: Option<(String, Instant)>,
}

impl Input {
    /// The caller started or stopped speaking.
    pub fn on_speech(&mut self, is_speaking: bool, timeouts: &Timeouts, now: Instant) {
        let timeout = match is_speaking {
            true => UTTERANCE_TIMEOUT,
            false => timeouts.barge_in_timeout,
        };
        self.barge_in_over.set_if(self.barge_in.is_some(), now + timeout);
        if self.utterance_over.is_set() {
            let timeout = if is_speaking { PARTIAL_TIMEOUT } else { FINAL_TIMEOUT };
            self.utterance_over.set(now + timeout);
        }
        if self.has_keys() {
            // The words belong to the keys.
            let timeout = if is_speaking {
                KEYS_TIMEOUT
            } else {
                timeouts.dtmf_timeout
            };
            self.keys_complete.set(now + timeout);
        }
    }

    /// The carrier has reported words of an utterance that continues.
    pub fn await_end_of_utterance(&mut self, now: Instant) {
        self.utterance_over.set(now + PARTIAL_TIMEOUT);
    }

    /// The carrier has reported an end without words: another report may follow.
    pub fn expect_end_of_utterance(&mut self, now: Instant) {
        self.utterance_over.set(now + FINAL_TIMEOUT);
    }

    pub fn is_utterance_over(&mut self, now: Instant) -> bool {
        self.utterance_over.take_due(now)
    }

    /// Returns the new words of a complete utterance. `None`: the frame is a repetition, or the utterance has been answered
    /// without its end.
    pub fn complete_utterance<'a>(&mut self, text: &'a str, now: Instant) -> Option<&'a str> {
        self.utterance_over.clear();
        let last = self.last_words.replace((text.to_owned(), now));
        let window = if self.has_heard { REPETITION } else { SILENT_REPETITION };
        self.has_heard = false;
        if last.is_some_and(|(last, at)| last == text && now - at <= window) {
            return None;
        }
        let answered = self.answered_partial.take();
        let answered = answered.filter(|(_, at)| now - *at <= LATE_FINAL);
        match answered.and_then(|(words, _)| after_prefix(text, &words)) {
            Some(rest) if !rest.chars().any(char::is_alphanumeric) => None,
            Some(rest) => Some(rest),
            None => Some(text),
        }
    }

    /// The caller hears speech.
    pub fn note_heard(&mut self) {
        self.has_heard = true;
    }

    /// The words so far are the utterance: its end was not reported.
    pub fn answer_partial(&mut self, words: &str, now: Instant) {
        self.utterance_over.clear();
        self.answered_partial = Some((words.to_owned(), now));
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

    pub fn barge_in(&self) -> Option<&BargeIn> {
        self.barge_in.as_ref()
    }

    pub fn take_barge_in(&mut self) -> Option<BargeIn> {
        self.barge_in_over.clear();
        self.barge_in.take()
    }

    /// `finish` are the keys of which each ends the input.
    pub fn press(&mut self, keys: &str, finish: &str, timeouts: &Timeouts, now: Instant) {
        let free = MAX_KEYS.saturating_sub(self.keys.len());
        self.keys.extend(keys.chars().take(free));
        // The keys are what follows the barge-in.
        self.barge_in_over.clear();
        let wait = match keys.ends_with(|key| finish.contains(key)) {
            true => Duration::ZERO,
            // The caller speaks while pressing keys.
            false if self.utterance_over.is_set() => KEYS_TIMEOUT,
            false => timeouts.dtmf_timeout,
        };
        self.keys_complete.set(now + wait);
    }

    /// The keys that are not complete yet.
    pub fn pressed(&self) -> &str {
        &self.keys
    }

    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Returns the keys once they are complete.
    pub fn take_keys(&mut self, now: Instant) -> Option<String> {
        let is_due = self.keys_complete.take_due(now);
        is_due.then(|| std::mem::take(&mut self.keys))
    }

    /// Returns the keys that were pressed before an utterance.
    pub fn take_keys_before_words(&mut self) -> String {
        self.keys_complete.clear();
        std::mem::take(&mut self.keys)
    }

    pub fn clear_deadlines(&mut self) {
        self.keys_complete.clear();
        self.barge_in_over.clear();
        self.utterance_over.clear();
    }

    pub fn deadlines(&self) -> [Deadline; 3] {
        [self.keys_complete, self.barge_in_over, self.utterance_over]
    }
}

/// Joins the words of an utterance so far with its next report. Most carriers repeat the beginning, possibly corrected;
/// others send the next words only.
pub(super) fn join_partial(known: &str, next: &str) -> String {
    let (old, new) = (word_list(known), word_list(next));
    let common = old.iter().filter(|word| new.contains(word)).count();
    let (old_letters, new_letters) = (old.concat(), new.concat());
    let beginning = old_letters
        .chars()
        .zip(new_letters.chars())
        .take_while(|(a, b)| a == b)
        .count();
    let shorter = old_letters.chars().count().min(new_letters.chars().count());
    match 2 * common >= old.len() || 2 * beginning > shorter {
        true => next.trim().to_owned(),
        false => format!("{} {}", known.trim(), next.trim()),
    }
}

fn word_list(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    words.filter(|word| !word.is_empty()).map(str::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_reports_of_an_utterance() {
        for (known, next, expected) in [
            ("", "I", "I"),
            ("I want", "I want to", "I want to"),
            ("I want to by", "I want to buy a", "I want to buy a"),
            ("eye want", "I want to", "I want to"),
            ("私は", "私は行きます", "私は行きます"),
            ("I want to", "buy a car", "I want to buy a car"),
            ("I", "want", "I want"),
            ("Hello.", "hello, it's me", "hello, it's me"),
        ] {
            assert_eq!(join_partial(known, next), expected);
        }
    }

    #[test]
    fn repeated_final_has_no_new_words() {
        let (mut input, now) = (Input::default(), Instant::now());
        assert_eq!(input.complete_utterance("No.", now), Some("No."));
        assert_eq!(input.complete_utterance("No.", now + Duration::from_millis(100)), None);
        assert_eq!(
            input.complete_utterance("No!", now + Duration::from_millis(150)),
            Some("No!")
        );
        assert_eq!(
            input.complete_utterance("No!", now + Duration::from_secs(1)),
            Some("No!")
        );
    }

    #[test]
    fn late_final_has_only_words_after_the_answered_ones() {
        for (late, expected) in [
            ("Do you have a table?", None),
            ("Do you have a table for two?", Some("for two?")),
            ("Never mind.", Some("Never mind.")),
        ] {
            let (mut input, now) = (Input::default(), Instant::now());
            input.answer_partial("do you have a table", now);
            assert_eq!(input.complete_utterance(late, now), expected);
            assert_eq!(
                input.complete_utterance("Do you have a table", now),
                Some("Do you have a table")
            );
        }
    }
}
