//! The settings of calls.

use std::{sync::Arc, time::Duration};

use butt_dial_calls::{CallSettings, Timeouts, phrases};

use super::{ConfigError, source::Source};

pub(super) fn settings(source: &Source) -> Result<CallSettings, ConfigError> {
    let seconds = |key, min: u64, max: u64| source.number(key, min, max).map(Duration::from_secs);
    let timeouts = Timeouts {
        filler_after: Duration::from_millis(source.number("call_filler_after_ms", 300, 10_000)?),
        reply_timeout: seconds("call_reply_within_seconds", 2, 60)?,
        silence_timeout: seconds("call_silence_seconds", 5, 300)?,
        voicemail_turns: source.number("answering_machine_turns", 2, 50)?,
        voicemail_timeout: seconds("answering_machine_seconds", 20, 600)?,
        ..Timeouts::default()
    };
    Ok(CallSettings {
        timeouts,
        max_duration: seconds("call_longest_seconds", 60, 14_400)?,
        sampling_timeout: seconds("call_sampling_within_seconds", 1, 60)?,
        push_timeout: seconds("call_push_within_seconds", 1, 60)?,
        phrases: Arc::new(phrases(source)?),
    })
}

fn phrases(source: &Source) -> Result<phrases::PromptCatalog, ConfigError> {
    let Some(path) = source.optional("call_phrases_file")? else {
        return Ok(phrases::PromptCatalog::default());
    };
    let wrong = |error: String| ConfigError(format!("CALL_PHRASES_FILE, {path}: {error}"));
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
    phrases::PromptCatalog::parse(&text).map_err(wrong)
}
