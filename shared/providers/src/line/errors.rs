//! Maps LINE's errors (LINE, Messaging API reference: Error responses). LINE has no error codes: the HTTP status
//! decides, and where that is ambiguous, the named property or the message.

use butt_dial_domain::ports::carrier::{AmbiguityReason, Outcome, Refusal, RefusalClass};
use reqwest::StatusCode;

use super::wire::ErrorBody;
use crate::http::Response;

/// Maps a response other than 2xx and 409 to the outcome of the send.
pub fn outcome(response: &Response) -> Outcome {
    if !response.status.is_client_error() || response.status == StatusCode::REQUEST_TIMEOUT {
        // A 5xx. Also a redirect, which is not followed and can come after a success, and a 408, which proxies send
        // when the response took too long.
        return Outcome::Unknown(AmbiguityReason::CarrierFault);
    }
    let error: Option<ErrorBody> = serde_json::from_slice(&response.body).ok();
    let class = match response.status.as_u16() {
        // A used-up quota lasts until next month or a larger plan, so a retry does not help.
        429 if error
            .as_ref()
            .is_some_and(|error| error.message.contains("monthly limit")) =>
        {
            RefusalClass::Configuration
        }
        429 => RefusalClass::Throttled,
        401 | 403 | 404 | 405 | 407 => RefusalClass::Configuration,
        _ if error.as_ref().is_some_and(|error| error.names("to")) => RefusalClass::Recipient,
        _ => RefusalClass::Content,
    };
    Outcome::Refused(Refusal {
        class,
        carrier_code: None,
        retry_after_seconds: response.retry_after_seconds,
    })
}
