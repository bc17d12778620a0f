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

/// Reads beginnings of telephone numbers.
pub(super) fn allowed_destinations(source: &Source) -> Result<Vec<String>, ConfigError> {
    let prefixes = source.list("allowed_destinations")?;
    let is_prefix = |text: &String| {
        let digits = text.strip_prefix('+');
        digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
    };
    match prefixes.iter().find(|text| !is_prefix(text)) {
        Some(wrong) => Err(ConfigError(format!(
            "ALLOWED_DESTINATIONS: {wrong:?} is not the beginning of a number; use the form +8816"
        ))),
        None => Ok(prefixes),
    }
}
