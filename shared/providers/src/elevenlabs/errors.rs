//! Maps ElevenLabs' errors (ElevenLabs, Errors) by the error code, else by the HTTP status.

use butt_dial_domain::ports::speech::SpeechError;

use super::{API_KEY, MODEL, VOICE, wire::code};
use crate::http::{self, Response};

pub fn refused(response: &Response) -> SpeechError {
    let code = code(&response.body);
    let configuration = |text: String| SpeechError::Configuration(text);
    match (code.as_deref(), response.status.as_u16()) {
        (Some("voice_not_found" | "invalid_voice_id"), _) => no_such_voice(),
        (Some("model_not_found" | "invalid_model_id"), _) => configuration(format!("set {MODEL} to an existing model")),
        (Some("quota_exceeded" | "insufficient_credits"), _) | (_, 402) => {
            configuration("the account has no credits left: buy credits at ElevenLabs".to_owned())
        }
        (_, 401 | 403) => configuration(format!("set {API_KEY} to a key with access to text to speech")),
        (_, 404) => no_such_voice(),
        (_, 429 | 503) => SpeechError::Overloaded {
            retry_after_seconds: response.retry_after_seconds,
        },
        (code, 400 | 413 | 422) => SpeechError::Refused(http::label(code.unwrap_or(response.status.as_str()))),
        _ => SpeechError::Unreachable,
    }
}

pub fn no_such_voice() -> SpeechError {
    SpeechError::Configuration(format!("the voice does not exist: choose another one, or set {VOICE}"))
}
