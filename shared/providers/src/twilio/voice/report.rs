//! Callbacks of calls: TwiML requests, status changes, machine detection, the end of a conversation, recordings
//! (Twilio, TwiML for Programmable Voice: request parameters; Calls resource: status callbacks; Answering machine
//! detection; ConversationRelay: action callback; Recording status callbacks).

use std::str::FromStr;

use butt_dial_domain::{
    Address, Channel,
    call::{AnsweredBy, CallReport, CallStatus, Direction, Recording, SessionEnd, SessionOutcome},
    money::Rates,
    ports::webhook::{UnreadableRequest, WebhookRequest},
};
use url::Url;

use super::create_call::is_call_sid;
use crate::{
    http::label,
    twilio::{
        form::Form,
        inbound::{Kind, kind},
        wire,
    },
};

/// Longer than any caller name.
const MAX_NAME_CHARS: usize = 256;

pub fn read(request: &WebhookRequest, rates: &Rates) -> Result<CallReport, UnreadableRequest> {
    let Kind::Form(body) = kind(request) else {
        return Err(UnreadableRequest("the body is not a form"));
    };
    let form = Form::decode(body)?;
    // A dialed leg requests the whisper: the report belongs to its parent call.
    let parent = form.find("ParentCallSid");
    let carrier_id = parent.or(form.find("CallSid"));
    let carrier_id = carrier_id.ok_or(UnreadableRequest("the form has no call SID"))?;
    if !is_call_sid(carrier_id) {
        return Err(UnreadableRequest("the call SID is invalid"));
    }
    let session = session(&form)?;
    let code = form.find("ErrorCode").filter(|code| *code != "0").map(label);
    Ok(CallReport {
        carrier_id: carrier_id.to_owned(),
        direction: direction(&form),
        from: party(&form, "From"),
        to: party(&form, "To"),
        // The status of the leg is not the status of the call.
        status: form
            .find("CallStatus")
            .filter(|_| parent.is_none())
            .and_then(CallStatus::parse),
        sequence: number(&form, "SequenceNumber"),
        duration_seconds: number(&form, "CallDuration"),
        at: form.find("Timestamp").and_then(wire::date),
        answered_by: form.find("AnsweredBy").map(answered_by),
        price: wire::price(rates, form.find("Price"), form.find("PriceUnit")),
        recording: recording(&form),
        dialled: form.find("DialCallStatus").and_then(dialled),
        digits: form.find("Digits").filter(|digits| are_keys(digits)).map(str::to_owned),
        // The code of a session is in the session.
        error_code: code.filter(|_| session.is_none()),
        session,
    })
}

/// Returns the account that the callback names.
pub fn account(request: &WebhookRequest) -> Option<String> {
    let Kind::Form(body) = kind(request) else { return None };
    let form = Form::decode(body).ok()?;
    form.find("AccountSid").map(str::to_owned)
}

/// Returns the direction. Callbacks of recordings and machine detection have none; machines are detected only on
/// outbound calls.
fn direction(form: &Form) -> Direction {
    match form.find("Direction") {
        Some("inbound") => Direction::Inbound,
        Some(_) => Direction::Outbound,
        None if form.find("AnsweredBy").is_some() => Direction::Outbound,
        None => Direction::Inbound,
    }
}

/// Returns a party; empty if the callback has none.
fn party(form: &Form, name: &str) -> String {
    let text = form.find(name).unwrap_or_default();
    match Address::parse(Channel::Voice, text) {
        Ok(address) => address.as_str().to_owned(),
        Err(_) => text.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect(),
    }
}

fn number<N: FromStr>(form: &Form, name: &str) -> Option<N> {
    form.find(name)?.parse().ok()
}

fn answered_by(text: &str) -> AnsweredBy {
    match text {
        "human" => AnsweredBy::Human,
        "machine_start" => AnsweredBy::MachineStart,
        "machine_end_beep" | "machine_end_silence" | "machine_end_other" => AnsweredBy::MachineEnd,
        "fax" => AnsweredBy::Fax,
        _ => AnsweredBy::Unknown,
    }
}

fn session(form: &Form) -> Result<Option<SessionEnd>, UnreadableRequest> {
    let (Some(id), Some(status)) = (form.find("SessionId"), form.find("SessionStatus")) else {
        return Ok(None);
    };
    if !wire::is_sid(id, "VX") {
        return Err(UnreadableRequest("the session SID is invalid"));
    }
    let outcome = match status {
        "completed" => SessionOutcome::Completed,
        "ended" => SessionOutcome::Ended,
        // All other labels mean a failure.
        _ => SessionOutcome::Failed,
    };
    Ok(Some(SessionEnd {
        id: id.to_owned(),
        outcome,
        handoff: form.find("HandoffData").map(str::to_owned),
        error_code: form.find("ErrorCode").map(label),
    }))
}

fn recording(form: &Form) -> Option<Recording> {
    let id = form.find("RecordingSid").filter(|sid| wire::is_sid(sid, "RE"))?;
    let is_web = |url: &Url| matches!(url.scheme(), "http" | "https");
    Some(Recording {
        id: id.to_owned(),
        url: form
            .find("RecordingUrl")
            .filter(|url| Url::parse(url).is_ok_and(|url| is_web(&url)))
            .map(str::to_owned),
        // Without a status the recording may not be ready.
        is_completed: form.find("RecordingStatus") == Some("completed"),
        duration_seconds: number(form, "RecordingDuration"),
    })
}

fn dialled(text: &str) -> Option<CallStatus> {
    match text {
        "answered" => Some(CallStatus::Completed),
        text => CallStatus::parse(text),
    }
}

/// Returns whether the text is DTMF keys. `Record` sends `hangup` in the same field.
fn are_keys(text: &str) -> bool {
    text.chars().all(|c| matches!(c, '0'..='9' | '*' | '#' | 'A'..='D'))
}

#[cfg(test)]
mod tests;
