//! LINE's errors as classes (LINE, Messaging API reference: Error responses). It has no codes: the status decides, and
//! where it leaves a choice, the property or the sentence that LINE names.

use butt_dial_domain::ports::carrier::{AmbiguityReason, Outcome, Refusal, RefusalClass};
use reqwest::StatusCode;

use super::wire::ErrorBody;
use crate::http::Response;

/// What an answer other than 2xx or 409 means for the send.
pub fn outcome(response: &Response) -> Outcome {
    if !response.status.is_client_error() || response.status == StatusCode::REQUEST_TIMEOUT {
        // 5xx; also a redirect, which is not followed and may follow a success, and a 408, which machines in front
        // of a vendor send when the answer took too long.
        return Outcome::Unknown(AmbiguityReason::CarrierFault);
    }
    let error: Option<ErrorBody> = serde_json::from_slice(&response.body).ok();
    let class = match response.status.as_u16() {
        // Nothing passes until next month or a larger plan: no matter of pace.
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
