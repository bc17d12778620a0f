//! Maps Resend's error names (Resend, API reference: Errors). Falls back to the HTTP status for unknown names.

use butt_dial_domain::ports::carrier::{AmbiguityReason, Outcome, Refusal, RefusalClass};
use reqwest::StatusCode;

use super::wire::ErrorBody;
use crate::http::{self, Response};

/// Maps a response other than 2xx to the outcome of the send.
pub fn outcome(response: &Response) -> Outcome {
    let error: Option<ErrorBody> = serde_json::from_slice(&response.body).ok();
    let status = response.status;
    let in_doubt = match error.as_ref().map(|error| error.name.as_str()) {
        // The first request under this key is still running.
        Some("concurrent_idempotent_requests") => true,
        // Another body was sent under this key. The key is the message id, so an earlier attempt of this message
        // passed: the request is refused, but the message is not.
        Some("invalid_idempotent_request") => true,
        // All other 409 concern the key as well.
        _ => status == StatusCode::CONFLICT,
    };
    // A redirect is not followed and can come after a success; a 408 comes from proxies.
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
        // A used-up quota lasts until tomorrow, next month or a larger plan, so a retry does not help.
        "daily_quota_exceeded" | "monthly_quota_exceeded" => RefusalClass::Configuration,
        "missing_api_key"
        | "restricted_api_key"
        | "invalid_api_key"
        | "invalid_from_address"
        | "invalid_region"
        | "invalid_idempotency_key"
        | "not_found"
        | "method_not_allowed" => RefusalClass::Configuration,
        // With a 403: the sender's domain is not verified.
        "validation_error" if status == StatusCode::FORBIDDEN => RefusalClass::Configuration,
        // Resend names the field only in the message.
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
