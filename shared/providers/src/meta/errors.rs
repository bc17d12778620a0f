//! Maps Meta's error codes (WhatsApp Cloud API, Error codes). Falls back to the HTTP status for unknown codes.

use butt_dial_domain::ports::carrier::{AmbiguityReason, Outcome, Refusal, RefusalClass};
use reqwest::StatusCode;

use super::wire::ErrorBody;
use crate::http::Response;

/// Maps a response other than 2xx to the outcome of the send.
pub fn outcome(response: &Response) -> Outcome {
    if !response.status.is_client_error() || response.status == StatusCode::REQUEST_TIMEOUT {
        // A 5xx. Also a redirect, which is not followed and can come after a success, and a 408, which proxies send
        // when the response took too long.
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

/// Returns the class of a code in a receipt; `None` for an unknown code.
pub fn class_of(code: u32) -> Option<RefusalClass> {
    match class_of_code(code) {
        Meaning::Refused(class) => Some(class),
        Meaning::Ambiguous | Meaning::NotKnown => None,
    }
}

/// Returns the class of the code in a response, for any HTTP status.
pub fn class_of_answer(response: &Response) -> Option<RefusalClass> {
    class_of(code_of(response)?)
}

/// The template does not exist in this language.
const NO_TRANSLATION: &str = "132001";

/// Returns whether a template was refused because it does not exist in its language.
pub fn lacks_translation(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Refused(refusal) if refusal.carrier_code.as_deref() == Some(NO_TRANSLATION))
}

fn code_of(response: &Response) -> Option<u32> {
    let body: Option<ErrorBody> = serde_json::from_slice(&response.body).ok();
    body.map(|body| body.error.code)
}

enum Meaning {
    Refused(RefusalClass),
    /// An internal error of Meta: the message may have been accepted.
    Ambiguous,
    NotKnown,
}

fn class_of_code(code: u32) -> Meaning {
    Meaning::Refused(match code {
        1 | 2 | 131_000 | 131_016 | 135_000 => return Meaning::Ambiguous,
        4 | 80_007 | 130_429 | 131_056 => RefusalClass::Throttled,
        131_047 => RefusalClass::WindowClosed,
        // Not on WhatsApp, or on an outdated version.
        131_026 => RefusalClass::Recipient,
        // Token; permissions; a test number without this recipient; account restrictions for spam or country; unpaid
        // bills; an unregistered number.
        0 | 3 | 10 | 190 | 200..=299 | 368 | 130_497 | 131_030 | 131_031 | 131_042 | 131_048 => {
            RefusalClass::Configuration
        }
        133_000..=133_016 => RefusalClass::Configuration,
        // A template paused or disabled for its quality: the operator has to fix it.
        132_015 | 132_016 => RefusalClass::Configuration,
        // The person has stopped marketing messages of this business.
        131_050 => RefusalClass::OptedOutOfMarketing,
        // No number is known, and the template needs one.
        131_062 => RefusalClass::Content,
        // A group that does not exist, or without this sender, or without other members.
        131_020 | 131_041 | 131_212 => RefusalClass::Recipient,
        131_207 | 131_214 | 131_063 | 131_215 => RefusalClass::Configuration,
        131_208 | 131_064 => RefusalClass::Throttled,
        // Marketing limit of this recipient, or a Meta experiment: another text can pass, this one can't today.
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
