//! Renders the transcript of a call for people.

use std::fmt::Write;

use super::state::{CallState, Speaker};

/// Returns the whole transcript, one line for each entry.
pub(crate) fn render(state: &CallState) -> String {
    let mut text = String::new();
    for entry in &state.history {
        let speaker = match entry.by {
            Speaker::Caller => "Caller",
            Speaker::Agent => "Agent",
            Speaker::Voicemail => "Answering machine",
        };
        let mark = if entry.is_cut { " …" } else { "" };
        let unheard = entry
            .unheard
            .as_ref()
            .map(|rest| format!(" [not heard: {}]", rest.replace('\n', " ")));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{speaker}: {}{mark}{}", entry.text, unheard.unwrap_or_default());
    }
    text
}

/// Returns the summary of a message that a caller left: the model's summary, or the caller's words.
pub(crate) fn summarize(state: &CallState) -> String {
    let message = state.message.clone().unwrap_or_default();
    if let Some(summary) = message.summary.filter(|summary| !summary.trim().is_empty()) {
        return summary;
    }
    let caller = state.history.iter().filter(|entry| entry.by == Speaker::Caller);
    let words: Vec<&str> = caller.map(|entry| entry.text.as_str()).collect();
    match words.as_slice() {
        [] => "The caller left no words.".to_owned(),
        words => words.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::inbound_state;
    use butt_dial_domain::clock::Timestamp;

    #[test]
    fn rest_of_interrupted_reply_is_set_apart() {
        let mut state = inbound_state();
        state.record(Speaker::Caller, "Tell me all.", false, Timestamp::UNIX_EPOCH);
        state.record(Speaker::Agent, "First this.", true, Timestamp::UNIX_EPOCH);
        assert_eq!(render(&state), "Caller: Tell me all.\nAgent: First this. …\n");
        state.set_unheard("Then\nthat.");
        assert_eq!(
            render(&state),
            "Caller: Tell me all.\nAgent: First this. … [not heard: Then that.]\n"
        );
        state.set_unheard(&"word ".repeat(10_000));
        assert!(render(&state).len() < 400);
        // It was noise, and the rest is spoken after all.
        state.set_unheard("");
        assert_eq!(render(&state), "Caller: Tell me all.\nAgent: First this. …\n");
    }
}
