//! Twilio's error codes as classes (Twilio, error and warning dictionary). Twilio splits and renames codes, so a code
//! that is not known here falls back to what the HTTP status says.

use axum::http::StatusCode;
use butt_dial_domain::ports::carrier::{AmbiguityReason, Outcome, Refusal, RefusalClass};

use super::wire::ErrorBody;
use crate::http::Response;

/// What an answer other than 2xx means for the send.
pub fn outcome(response: &Response) -> Outcome {
    let body: Option<ErrorBody> = serde_json::from_slice(&response.body).ok();
    let code = body.map(|body| body.code);
    if !response.status.is_client_error() || response.status == StatusCode::REQUEST_TIMEOUT {
        // 5xx; also a redirect, which is not followed and may follow a success, and a 408, which machines in front
        // of a vendor send when the answer took too long.
        return Outcome::Unknown(AmbiguityReason::CarrierFault);
    }
    match code.map(class_of_code) {
        Some(Meaning::Ambiguous) => Outcome::Unknown(AmbiguityReason::CarrierFault),
        Some(Meaning::Refused(class)) => refused(class, code, response),
        Some(Meaning::NotKnown) | None => refused(class_of_status(response.status), code, response),
    }
}

/// The class of a code from a status callback; `None` where the code is not known.
pub fn class_of(code: u32) -> Option<RefusalClass> {
    match class_of_code(code) {
        Meaning::Refused(class) => Some(class),
        Meaning::Ambiguous | Meaning::NotKnown => None,
    }
}

enum Meaning {
    Refused(RefusalClass),
    /// An internal error of theirs: it may have been taken.
    Ambiguous,
    NotKnown,
}

fn class_of_code(code: u32) -> Meaning {
    Meaning::Refused(match code {
        20500 | 63010 => return Meaning::Ambiguous,
        // Invalid, not mobile, a landline, not routable, a country that is not permitted; gone or unknown later.
        13223 | 13224 | 13225 | 13226 | 13227 | 21215 | 21216 | 14101 | 21211 | 21214 | 21217 | 21408 | 21612
        | 21614 | 21635 | 30005 | 30006 | 63003 | 63024 => RefusalClass::Recipient,
        21610 => RefusalClass::OptedOut,
        10001 | 10002 | 20003 | 20005 | 21205 | 21210 | 21212 | 21213 | 21218 | 20403 | 20404 | 21219 | 21603
        | 21606 | 21608 | 21659 | 21660 | 21701 | 21703 | 21704 | 21910 | 30002 | 30032 | 30034 | 30035 | 63001
        | 63002 | 63007 | 63051 => RefusalClass::Configuration,
        // Blocks against pumping and fraud: only the operator can lift them, and trying again makes them worse.
        30450 | 30453 => RefusalClass::Configuration,
        // 30004, blocked by the phone or its network, is no STOP and no dead number: neither consent nor the address
        // may be struck out for it.
        30004 | 11751 | 12300 | 21602 | 21617 | 21619 | 21620 | 21623 | 21655 | 21656 | 30007 | 30019 | 63005
        | 63019 | 63021 | 63027 | 63028 | 63030 | 63040 | 63041 | 63042 => RefusalClass::Content,
        63016 => RefusalClass::WindowClosed,
        // 10004, 22005: too many calls at once, or in the queue.
        10004 | 22005 | 64109 | 20429 | 21611 | 30022 | 30023 | 30027 | 63018 | 63038 => RefusalClass::Throttled,
        // Passing troubles of delivery: the same message may pass later, which is what this class says.
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
