//! Meta's error codes as classes (WhatsApp Cloud API, Error codes). A code that is not known here falls back to what
//! the HTTP status says.

use butt_dial_domain::ports::carrier::{AmbiguityReason, Outcome, Refusal, RefusalClass};
use reqwest::StatusCode;

use super::wire::ErrorBody;
use crate::http::Response;

/// What an answer other than 2xx means for the send.
pub fn outcome(response: &Response) -> Outcome {
    if !response.status.is_client_error() || response.status == StatusCode::REQUEST_TIMEOUT {
        // 5xx; also a redirect, which is not followed and may follow a success, and a 408, which machines in front
        // of a vendor send when the answer took too long.
        return Outcome::Unknown(AmbiguityReason::CarrierFault);
    }
    let code = code_of(response);
    let class = match code.map(class_of_code) {
        Some(Meaning::Ambiguous) => return Outcome::Unknown(AmbiguityReason::CarrierFault),
        Some(Meaning::Refused(class)) => class,
        Some(Meaning::NotKnown) | None => class_of_status(response.status),
    };
    Outcome::Refused(Refusal {
        class,
        carrier_code: code.map(|code| code.to_string()),
        retry_after_seconds: response.retry_after_seconds,
    })
}

/// The class of a code from a receipt; `None` where the code is not known.
pub fn class_of(code: u32) -> Option<RefusalClass> {
    match class_of_code(code) {
        Meaning::Refused(class) => Some(class),
        Meaning::Ambiguous | Meaning::NotKnown => None,
    }
}

/// What the code of an answer says, whatever the answer's status.
pub fn class_of_answer(response: &Response) -> Option<RefusalClass> {
    class_of(code_of(response)?)
}

fn code_of(response: &Response) -> Option<u32> {
    let body: Option<ErrorBody> = serde_json::from_slice(&response.body).ok();
    body.map(|body| body.error.code)
}

enum Meaning {
    Refused(RefusalClass),
    /// A fault of theirs: it may have been taken.
    Ambiguous,
    NotKnown,
}

fn class_of_code(code: u32) -> Meaning {
    Meaning::Refused(match code {
        1 | 2 | 131_000 | 131_016 | 135_000 => return Meaning::Ambiguous,
        4 | 80_007 | 130_429 | 131_056 => RefusalClass::Throttled,
        131_047 => RefusalClass::WindowClosed,
        // Not on WhatsApp, or too old a version of it.
        131_026 => RefusalClass::Recipient,
        // The token; permissions; a number on trial whose list lacks the recipient; restrictions of the account, for
        // spam, for a country; what was not paid; a number that is not registered.
        0 | 3 | 10 | 190 | 200..=299 | 368 | 130_497 | 131_030 | 131_031 | 131_042 | 131_048 => {
            RefusalClass::Configuration
        }
        133_000..=133_016 => RefusalClass::Configuration,
        // Paused or disabled for its quality: the operator has to mend the template.
        132_015 | 132_016 => RefusalClass::Configuration,
        // Too much marketing for this person, or an experiment of Meta's: another text passes, and this one not today.
        130_472 | 131_049 => RefusalClass::Content,
        100 | 131_008 | 131_009 | 131_052 | 131_053 => RefusalClass::Content,
        132_000 | 132_001 | 132_005 | 132_007 | 132_008 | 132_012 => RefusalClass::Content,
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
