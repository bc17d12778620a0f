//! The transcript of a call: for people, and as it is stored.

use std::fmt::Write;

use super::state::{CallState, Speaker, TranscriptEntry};

/// A transcript that is kept after the call.
pub struct Transcript {
    /// The words that were heard, one line for each entry.
    pub text: String,
    /// Empty: the transcript was kept by an earlier version of the program, as text.
    pub entries: Vec<TranscriptEntry>,
}

impl Transcript {
    pub(crate) fn of(entries: Vec<TranscriptEntry>) -> Self {
        let text = render(&entries);
        Self { text, entries }
    }

    /// Reads what `encode` has written, or the text of an earlier version.
    pub(crate) fn decode(stored: String) -> Self {
        match serde_json::from_str(&stored) {
            Ok(entries) => Self::of(entries),
            Err(_) => Self {
                text: stored,
                entries: Vec::new(),
            },
        }
    }
}

/// Returns the transcript as it is stored. `None`: it has no entries.
pub(crate) fn encode(entries: &[TranscriptEntry]) -> Option<String> {
    if entries.is_empty() {
        return None;
    }
    let encoded = serde_json::to_string(entries);
    encoded
        .inspect_err(|error| tracing::error!(%error, "transcript encoding failed"))
        .ok()
}

/// Returns what was heard, one line for each entry.
pub(crate) fn render(entries: &[TranscriptEntry]) -> String {
    let mut text = String::new();
    for entry in entries.iter().filter(|entry| !entry.text.is_empty()) {
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

#[cfg(test)]
mod tests {
    use butt_dial_domain::clock::Timestamp;

    use super::*;

    fn entry(by: Speaker, text: &str, unheard: Option<&str>) -> TranscriptEntry {
        TranscriptEntry {
            by,
            text: text.into(),
            is_cut: unheard.is_some(),
            unheard: unheard.map(str::to_owned),
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn stored_transcript_keeps_what_was_not_heard() {
        let entries = [
            entry(Speaker::Caller, "Tell me all.", None),
            entry(Speaker::Agent, "First this.", Some("Then that.")),
            entry(Speaker::Agent, "", Some("Good morning.")),
        ];
        let kept = Transcript::decode(encode(&entries).unwrap());
        assert_eq!(kept.entries, entries);
        assert_eq!(kept.text, "Caller: Tell me all.\nAgent: First this. …\n");
        assert_eq!(encode(&[]), None);
    }

    #[test]
    fn reads_transcript_of_earlier_version() {
        let kept = Transcript::decode("Caller: Hello?\n".into());
        assert_eq!((kept.text.as_str(), kept.entries.len()), ("Caller: Hello?\n", 0));
    }
}
