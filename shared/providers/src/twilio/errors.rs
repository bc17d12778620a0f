//! Maps Twilio's error codes (Twilio, error and warning dictionary). Twilio splits and renames codes, so unknown codes
//! fall back to the HTTP status.

use axum::http::StatusCode;
use butt_dial_domain::ports::carrier::{AmbiguityReason, Outcome, Refusal, RefusalClass};

use super::wire::ErrorBody;
use crate::http::Response;

/// Maps a response other than 2xx to the outcome of the send.
pub fn outcome(response: &Response) -> Outcome {
    let body: Option<ErrorBody> = serde_json::from_slice(&response.body).ok();
    let code = body.map(|body| body.code);
    if !response.status.is_client_error() || response.status == StatusCode::REQUEST_TIMEOUT {
        // A 5xx. Also a redirect, which is not followed and can come after a success, and a 408, which proxies send
        // when the response took too long.
        return Outcome::Unknown(AmbiguityReason::CarrierFault);
    }
    match code.map(class_of_code) {
        Some(Meaning::Ambiguous) => Outcome::Unknown(AmbiguityReason::CarrierFault),
        Some(Meaning::Refused(class)) => refused(class, code, response),
        Some(Meaning::NotKnown) | None => refused(class_of_status(response.status), code, response),
    }
}

/// Returns the class of a code in a status callback; `None` for an unknown code.
pub fn class_of(code: u32) -> Option<RefusalClass> {
    match class_of_code(code) {
        Meaning::Refused(class) => Some(class),
        Meaning::Ambiguous | Meaning::NotKnown => None,
    }
}

enum Meaning {
    Refused(RefusalClass),
    /// An internal error of Twilio: the message may have been accepted.
    Ambiguous,
    NotKnown,
}

fn class_of_code(code: u32) -> Meaning {
    Meaning::Refused(match code {
        20500 | 63010 => return Meaning::Ambiguous,
        // Invalid, not mobile, a landline, not routable, a forbidden country; gone or unknown.
        13223 | 13224 | 13225 | 13226 | 13227 | 21215 | 21216 | 14101 | 21211 | 21214 | 21217 | 21408 | 21612
        | 21614 | 21635 | 30005 | 30006 | 63003 | 63024 => RefusalClass::Recipient,
        21610 => RefusalClass::OptedOut,
        10001 | 10002 | 20003 | 20005 | 21205 | 21210 | 21212 | 21213 | 21218 | 20403 | 20404 | 21219 | 21603
        | 21606 | 21608 | 21659 | 21660 | 21701 | 21703 | 21704 | 21910 | 30002 | 30032 | 30034 | 30035 | 63001
        | 63002 | 63007 | 63051 => RefusalClass::Configuration,
        // Blocks for traffic pumping and fraud: only the operator can lift them, and retries make them worse.
        30450 | 30453 => RefusalClass::Configuration,
        // 30004 (blocked by the device or its network) is neither a STOP nor an invalid number, so consent and address
        // stay.
        30004 | 11751 | 12300 | 21602 | 21617 | 21619 | 21620 | 21623 | 21655 | 21656 | 30007 | 30019 | 63005
        | 63019 | 63021 | 63027 | 63028 | 63030 | 63040 | 63041 | 63042 => RefusalClass::Content,
        63016 => RefusalClass::WindowClosed,
        // 10004, 22005: too many concurrent or queued calls.
        10004 | 22005 | 64109 | 20429 | 21611 | 30022 | 30023 | 30027 | 63018 | 63038 => RefusalClass::Throttled,
        // Temporary delivery failures: the same message can pass later.
        30001 | 30003 | 30008 | 30017 | 30036 | 30410 | 63009 | 63012 | 63036 => RefusalClass::Throttled,
        _ => return Meaning::NotKnown,
    })
}

fn class_of_status(status: StatusCode) -> RefusalClass {
    match status.as_u16() {
        429 => RefusalClass::Throttled,
        401 | 403 | 404 | 405 | 407 => RefusalClass::Configuration,
        _ => RefusalClass::Content,
    }
}

fn refused(class: RefusalClass, code: Option<u32>, response: &Response) -> Outcome {
    Outcome::Refused(Refusal {
        class,
        carrier_code: code.map(|code| code.to_string()),
        retry_after_seconds: response.retry_after_seconds,
    })
}
