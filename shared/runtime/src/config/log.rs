//! Settings of the log.

use std::io::IsTerminal;

use super::{ConfigError, source::Source};

#[derive(strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
enum LogFormat {
    Auto,
    Json,
    Text,
}

/// Refuses a single word that is no level: a logger would take it for the name of a crate, and log that crate only.
pub fn level(source: &Source) -> Result<String, ConfigError> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let text = source.text("log_level")?;
    let is_level = |word: &str| LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level));
    for directive in text.split(',').map(str::trim) {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        if !is_level(level) {
            return Err(ConfigError(format!(
                "LOG_LEVEL: {level:?} is no level; use one of {}, or directives such as info,butt_dial_messaging=debug",
                LEVELS.join(", ")
            )));
        }
    }
    Ok(text)
}

/// Returns whether lines are JSON objects.
pub fn is_json(source: &Source) -> Result<bool, ConfigError> {
    Ok(match source.choice::<LogFormat>("log_format")? {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Text => false,
    })
}
