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
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{speaker}: {}{mark}", entry.text);
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
