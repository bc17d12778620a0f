//! Maps OpenAI's errors (OpenAI, Error codes) by the error code, else by the HTTP status.

use butt_dial_domain::ports::{model::ModelError, speech::SpeechError};

use super::{
    API_KEY, MODEL, SPEECH_MODEL, SPEECH_VOICE, TRANSCRIPTION_MODEL,
    wire::{Detail, ErrorBody},
};
use crate::http::{self, Response};

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Overloaded,
    Key,
    Billing,
    Model,
    Voice,
    /// The rejected parameter or the status.
    Request(String),
    TimedOut,
    Fault,
}

/// Maps an error response to a completion request.
pub fn model(response: &Response) -> ModelError {
    model_error(meaning(response), response.retry_after_seconds)
}

/// Maps an error inside a completion stream.
pub fn stream_error(error: &Detail) -> ModelError {
    model_error(of_detail(error).unwrap_or(Meaning::Fault), None)
}

/// Maps an error response to a speech request.
pub fn speech(response: &Response) -> SpeechError {
    let retry_after_seconds = response.retry_after_seconds;
    match meaning(response) {
        Meaning::Overloaded => SpeechError::Overloaded { retry_after_seconds },
        Meaning::Key => SpeechError::Configuration(key()),
        Meaning::Billing => SpeechError::Configuration(billing()),
        Meaning::Model => SpeechError::Configuration(format!("set {SPEECH_MODEL} to a speech model")),
        Meaning::Voice => SpeechError::Configuration(format!(
            "the voice does not exist: choose another one, or set {SPEECH_VOICE}"
        )),
        Meaning::Request(why) => SpeechError::Refused(why),
        Meaning::TimedOut | Meaning::Fault => SpeechError::Unreachable,
    }
}

/// Maps an error response to a transcription request.
pub fn transcription(response: &Response) -> SpeechError {
    match speech(response) {
        SpeechError::Configuration(text) if text.contains(SPEECH_MODEL) => {
            SpeechError::Configuration(format!("set {TRANSCRIPTION_MODEL} to a model of transcription"))
        }
        error => error,
    }
}

fn model_error(meaning: Meaning, retry_after_seconds: Option<u64>) -> ModelError {
    match meaning {
        Meaning::Overloaded => ModelError::Overloaded { retry_after_seconds },
        Meaning::Key => ModelError::Configuration(key()),
        Meaning::Billing => ModelError::Configuration(billing()),
        Meaning::Model => ModelError::Configuration(format!("set {MODEL} to an existing model")),
        Meaning::Voice => ModelError::Broken,
        Meaning::Request(why) => ModelError::Refused(why),
        Meaning::TimedOut => ModelError::Stalled,
        Meaning::Fault => ModelError::Broken,
    }
}

fn key() -> String {
    format!("set {API_KEY} to a key with access to this operation")
}

fn billing() -> String {
    "pay for the account at OpenAI".to_owned()
}

fn meaning(response: &Response) -> Meaning {
    let detail = serde_json::from_slice::<ErrorBody>(&response.body)
        .ok()
        .map(|body| body.error);
    if let Some(meaning) = detail.as_ref().and_then(of_detail) {
        return meaning;
    }
    match response.status.as_u16() {
        401 | 403 => Meaning::Key,
        402 => Meaning::Billing,
        404 => Meaning::Model,
        408 | 504 => Meaning::TimedOut,
        429 | 503 => Meaning::Overloaded,
        400 | 413 | 422 => {
            // The error message is dropped, because it can quote the conversation.
            let why = detail.and_then(|detail| detail.param);
            Meaning::Request(why.map_or_else(|| response.status.as_str().to_owned(), |why| http::label(&why)))
        }
        _ => Meaning::Fault,
    }
}

/// Returns the meaning when the code or the type decides it.
fn of_detail(error: &Detail) -> Option<Meaning> {
    let named = [error.code.as_str(), error.r#type.as_deref()];
    let is = |words: &[&str]| named.iter().flatten().any(|name| words.contains(name));
    let speaks_of_the_voice = || error.param.as_deref() == Some("voice") || error.message.contains("'voice'");
    match () {
        () if is(&["insufficient_quota", "billing_hard_limit_reached", "billing_not_active"]) => Some(Meaning::Billing),
        () if is(&[
            "rate_limit_exceeded",
            "rate_limit_error",
            "overloaded",
            "overloaded_error",
        ]) =>
        {
            Some(Meaning::Overloaded)
        }
        () if is(&["invalid_api_key", "authentication_error", "permission_error"]) => Some(Meaning::Key),
        () if is(&["model_not_found"]) => Some(Meaning::Model),
        () if is(&["invalid_request_error"]) && speaks_of_the_voice() => Some(Meaning::Voice),
        () => None,
    }
}
