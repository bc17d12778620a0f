//! The recording of a conversation: it pauses while card data is spoken, and ends when the caller objects.
//!
//! The recording is ahead of its transcript: a number that the caller has spoken is recorded already. So the question for it pauses the
//! recording, and a recording with a number that was not asked for is deleted.

use butt_dial_domain::ports::voice::RecordingChange;
use butt_dial_language::{has_card_number, mentions_card_data, objects_to_recording};

use super::{
    super::state::{RecordingState, Speaker},
    Conversation, Effects,
    effect::Effect,
    turns::Turns,
};

/// With more digits, the caller may not have finished to give the data.
const MAX_DIGITS: usize = 2;
/// Utterances before the last one that can hold groups of a card number.
const GROUPS: usize = 3;

impl Turns {
    /// Pauses the recording before a reply that asks for card data, and resumes it with the first reply after the data was given.
    pub(super) fn guard_reply(&mut self, effects: &mut Effects) {
        // Most calls are not recorded, and a reply has many pieces.
        let (Some(recording), Some(reply)) = (self.state.recording, &self.state.reply) else {
            return;
        };
        let change = match recording {
            RecordingState::Running if mentions_card_data(&reply.planned) => {
                (RecordingState::Pausing, RecordingChange::Pause)
            }
            RecordingState::DataGiven if !mentions_card_data(&reply.planned) && !self.gives_digits() => {
                (RecordingState::Running, RecordingChange::Resume)
            }
            _ => return,
        };
        self.change_recording(change, effects);
    }

    /// Discards the recording if the caller objects to it, or gives a card number while it runs.
    pub(super) fn guard_heard(&mut self, text: &str, effects: &mut Effects) {
        let is_forbidden = match self.state.recording {
            Some(RecordingState::Running | RecordingState::Pausing) => {
                has_card_number(&self.recent_words(text)) || objects_to_recording(text)
            }
            Some(RecordingState::Paused | RecordingState::DataGiven | RecordingState::Ended) => {
                objects_to_recording(text)
            }
            Some(RecordingState::Discarded) | None => false,
        };
        if self.state.recording == Some(RecordingState::Paused) && has_digits(text) {
            self.state.recording = Some(RecordingState::DataGiven);
            effects.push(Effect::Save);
        }
        if is_forbidden {
            tracing::info!(call = %self.state.info.call, "recording of the call discarded");
            self.change_recording((RecordingState::Discarded, RecordingChange::Stop), effects);
        }
    }

    /// The caller's last words have digits.
    fn gives_digits(&self) -> bool {
        let mut entries = self.state.history.iter().rev();
        let last = entries.find(|entry| entry.by == Speaker::Caller);
        last.is_some_and(|entry| has_digits(&entry.text))
    }

    /// The caller's words with those before them that are recorded: people give numbers in groups.
    fn recent_words(&self, text: &str) -> String {
        let entries = self.state.history.iter().skip(self.state.unrecorded_entries).rev();
        let mut words: Vec<&str> = entries
            .filter(|entry| entry.by == Speaker::Caller)
            .take(GROUPS)
            .map(|entry| entry.text.as_str())
            .collect();
        words.reverse();
        words.push(text);
        words.join(" ")
    }

    fn change_recording(&mut self, (state, change): (RecordingState, RecordingChange), effects: &mut Effects) {
        self.state.recording = Some(state);
        if change == RecordingChange::Resume {
            self.state.unrecorded_entries = self.state.history.len();
        }
        effects.extend([Effect::ChangeRecording(change), Effect::Save]);
    }
}

fn has_digits(text: &str) -> bool {
    text.chars().filter(char::is_ascii_digit).count() > MAX_DIGITS
}

impl Conversation {
    /// The carrier has executed a change of the recording, or failed to. A recording that could not be paused is discarded, because the
    /// pause is never confirmed.
    pub fn recording_changed(&mut self, (change, is_done): (RecordingChange, bool)) -> Effects {
        let recording = &mut self.turns.state.recording;
        if is_done && change == RecordingChange::Pause && *recording == Some(RecordingState::Pausing) {
            *recording = Some(RecordingState::Paused);
            return vec![Effect::Save];
        }
        Effects::new()
    }
}
