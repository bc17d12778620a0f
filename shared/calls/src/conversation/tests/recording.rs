//! The recording of a conversation: pauses, objections and card numbers.

use super::*;
use crate::state::RecordingState;

/// A recorded call with a greeting that was played.
fn recorded() -> Scenario {
    let mut info = info();
    info.plan.is_recorded = Some(true);
    let mut scenario = Scenario::of(CallState::new(info), true, true);
    scenario.play_all();
    scenario.spoken.clear();
    scenario
}

impl Scenario {
    fn recording(&self) -> Option<RecordingState> {
        self.conversation.state().recording
    }

    /// The carrier executes the last change.
    fn confirm(&mut self, is_done: bool) {
        let change = *self.recording_changes.last().unwrap();
        let effects = self.conversation.recording_changed((change, is_done));
        self.execute(effects);
    }
}

#[test]
fn pauses_from_the_question_for_card_data_to_the_next_topic() {
    let mut scenario = recorded();
    assert_eq!(scenario.recording(), Some(RecordingState::Running));
    scenario.caller_says("I want to pay.");
    scenario.agent("What is your card number?");
    assert_eq!(scenario.recording_changes, [RecordingChange::Pause]);
    assert_eq!(scenario.recording(), Some(RecordingState::Pausing));
    scenario.confirm(true);
    assert_eq!(scenario.recording(), Some(RecordingState::Paused));
    scenario.caller_says("One moment, I am getting it.");
    scenario.agent("Sure, take your time.");
    assert_eq!(
        scenario.recording_changes,
        [RecordingChange::Pause],
        "nothing was given yet"
    );
    scenario.caller_says("4111 1111");
    scenario.agent("Go on, please.");
    scenario.caller_says("1111 1111");
    scenario.agent("And the security code?");
    scenario.caller_says("One hundred.");
    assert_eq!(scenario.recording(), Some(RecordingState::DataGiven));
    scenario.agent("Thank you, the flowers arrive tomorrow.");
    assert_eq!(
        scenario.recording_changes,
        [RecordingChange::Pause, RecordingChange::Resume]
    );
    assert_eq!(scenario.recording(), Some(RecordingState::Running));
    scenario.caller_says("Send them to 12 Main Street, 94110.");
    assert_eq!(
        scenario.recording(),
        Some(RecordingState::Running),
        "the number was not recorded"
    );
}

#[test]
fn discards_the_recording_of_an_unasked_card_number() {
    let mut scenario = recorded();
    scenario.caller_says("My card is 4111 1111 1111 1111.");
    assert_eq!(scenario.recording(), Some(RecordingState::Discarded));
    assert_eq!(scenario.recording_changes, [RecordingChange::Stop]);
    scenario.agent("What is your card number?");
    assert_eq!(scenario.recording_changes.len(), 1, "there is no recording any more");

    let mut grouped = recorded();
    for group in ["4111 1111", "1111", "1111"] {
        grouped.caller_says(group);
        grouped.agent("Yes?");
    }
    assert_eq!(grouped.recording(), Some(RecordingState::Discarded));

    let mut typed = recorded();
    for key in "4111111111111111".chars() {
        typed.receive(IncomingFrame::Keys(key.to_string()));
    }
    assert_eq!(typed.recording(), Some(RecordingState::Discarded));
}

#[test]
fn keeps_no_recording_without_a_confirmed_pause() {
    let mut scenario = recorded();
    scenario.caller_says("I want to pay.");
    scenario.agent("What is your card number?");
    scenario.confirm(false);
    assert!(!scenario.recording().unwrap().is_kept());
    scenario.agent("Anything else?");
    assert_eq!(
        scenario.recording_changes,
        [RecordingChange::Pause],
        "nothing to resume"
    );
}

#[test]
fn discards_the_recording_when_the_caller_objects() {
    let mut scenario = recorded();
    scenario.caller_says("Please stop the recording.");
    assert_eq!(scenario.recording(), Some(RecordingState::Discarded));
    assert_eq!(scenario.recording_changes, [RecordingChange::Stop]);
    assert_eq!(scenario.requested, [1], "the words are a turn");

    let mut unrecorded = Scenario::greeted();
    unrecorded.caller_says("Please stop the recording.");
    unrecorded.agent("What is your card number?");
    assert_eq!((unrecorded.recording(), unrecorded.recording_changes.len()), (None, 0));
}
