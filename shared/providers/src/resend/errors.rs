//! Resend's error names as classes (Resend, API reference: Errors). A name that is not known here falls back to what
//! the HTTP status says.

use butt_dial_domain::ports::carrier::{AmbiguityReason, Outcome, Refusal, RefusalClass};
use reqwest::StatusCode;

use super::wire::ErrorBody;
use crate::http::{self, Response};

/// What an answer other than 2xx means for the send.
pub fn outcome(response: &Response) -> Outcome {
    let error: Option<ErrorBody> = serde_json::from_slice(&response.body).ok();
    let status = response.status;
    let in_doubt = match error.as_ref().map(|error| error.name.as_str()) {
        // The first try under this key still runs.
        Some("concurrent_idempotent_requests") => true,
        // Another text went out under this key. The key is the message's id, so it was an earlier try of this very
        // message: "refused" would be true of this request and false of the message.
        Some("invalid_idempotent_request") => true,
        // Every other 409 is about the key as well.
        _ => status == StatusCode::CONFLICT,
    };
    // A redirect is not followed and may follow a success; a 408 comes from machines in front of a vendor.
    if in_doubt || !status.is_client_error() || status == StatusCode::REQUEST_TIMEOUT {
        return Outcome::Unknown(AmbiguityReason::CarrierFault);
    }
    let class = error
        .as_ref()
        .map_or_else(|| class_of_status(status), |error| class(status, error));
    Outcome::Refused(Refusal {
        class,
        carrier_code: error.map(|error| http::label(&error.name)),
        retry_after_seconds: response.retry_after_seconds,
    })
}

fn class(status: StatusCode, error: &ErrorBody) -> RefusalClass {
    match error.name.as_str() {
        "rate_limit_exceeded" => RefusalClass::Throttled,
        // A used-up quota is no matter of pace: nothing passes until tomorrow, next month, or a larger plan.
        "daily_quota_exceeded" | "monthly_quota_exceeded" => RefusalClass::Configuration,
        "missing_api_key"
        | "restricted_api_key"
        | "invalid_api_key"
        | "invalid_from_address"
        | "invalid_region"
        | "invalid_idempotency_key"
        | "not_found"
        | "method_not_allowed" => RefusalClass::Configuration,
        // The same name with 403: the sender's domain is not verified.
        "validation_error" if status == StatusCode::FORBIDDEN => RefusalClass::Configuration,
        // Resend names the field only in the sentence.
        "validation_error" if error.message.contains("`to`") => RefusalClass::Recipient,
        "validation_error" if error.message.contains("`from`") => RefusalClass::Configuration,
        "validation_error"
        | "missing_required_field"
        | "invalid_attachment"
        | "invalid_parameter"
        | "security_error" => RefusalClass::Content,
        _ => class_of_status(status),
    }
}

fn class_of_status(status: StatusCode) -> RefusalClass {
    match status.as_u16() {
        429 => RefusalClass::Throttled,
        401 | 403 | 404 | 405 | 407 => RefusalClass::Configuration,
        _ => RefusalClass::Content,
    }
}
