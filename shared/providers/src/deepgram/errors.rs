//! Maps Deepgram's errors (Deepgram, Errors) by the HTTP status.

use butt_dial_domain::ports::speech::SpeechError;

use super::{API_KEY, MODEL, wire::ErrorBody};
use crate::http::{self, Response};

pub fn refused(response: &Response) -> SpeechError {
    let code = serde_json::from_slice::<ErrorBody>(&response.body).ok();
    let code = code.map(|body| http::label(&body.err_code));
    match response.status.as_u16() {
        401 => SpeechError::Configuration(format!("set {API_KEY} to a valid key")),
        402 => SpeechError::Configuration("the account has no credits left: buy credits at Deepgram".to_owned()),
        403 => SpeechError::Configuration(format!("the key may not use the model: check {API_KEY} and {MODEL}")),
        429 | 503 => SpeechError::Overloaded {
            retry_after_seconds: response.retry_after_seconds,
        },
        400 | 411 | 413 | 414 | 422 => {
            SpeechError::Refused(code.unwrap_or_else(|| response.status.as_str().to_owned()))
        }
        _ => SpeechError::Unreachable,
    }
}
