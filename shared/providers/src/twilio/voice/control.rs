//! Commands for live calls (Twilio, API reference: Calls resource).

use super::{
    create_call::{Call, is_call_sid},
    twiml,
};
use crate::{
    http::Response,
    twilio::{Client, wire::ErrorBody},
};
use axum::http::StatusCode;
use butt_dial_domain::ports::{
    carrier::{Outcome, RefusalClass},
    voice::{CarrierCall, ControlError, RecordingChange, Script},
};

/// The limit of the `Twiml` field, in characters.
const MAX_TWIML_CHARS: usize = 4_000;

pub async fn redirect(client: &Client, carrier_id: &str, script: &Script) -> Result<(), ControlError> {
    let twiml = twiml::render(script).body;
    if twiml.chars().count() > MAX_TWIML_CHARS {
        return Err(ControlError::Refused("the script is too long".to_owned()));
    }
    change(client, carrier_id, "", &[("Twiml", &twiml)]).await
}

pub async fn hang_up(client: &Client, carrier_id: &str) -> Result<(), ControlError> {
    change(client, carrier_id, "", &[("Status", "completed")]).await
}

/// Changes the newest recording of a call (Twilio, API reference: "Update a call recording"). Silence keeps the places of a
/// recording and the transcript aligned.
pub async fn change_recording(client: &Client, carrier_id: &str, change: RecordingChange) -> Result<(), ControlError> {
    let form: &[(&str, &str)] = match change {
        RecordingChange::Pause => &[("Status", "paused"), ("PauseBehavior", "silence")],
        RecordingChange::Resume => &[("Status", "in-progress")],
        RecordingChange::Stop => &[("Status", "stopped")],
    };
    match self::change(client, carrier_id, "/Recordings/Twilio.CURRENT", form).await {
        // The call is over, or has no recording.
        Err(ControlError::CallEnded) => Ok(()),
        changed => changed,
    }
}

pub async fn fetch_call(client: &Client, carrier_id: &str) -> Result<CarrierCall, ControlError> {
    if !is_call_sid(carrier_id) {
        return Err(ControlError::CallEnded);
    }
    let path = format!("/Calls/{carrier_id}.json");
    let response = done(client.get(&client.account_url(&path)).await)?;
    let call: Option<Call> = serde_json::from_slice(&response.body).ok();
    // A 2xx of a proxy or a captive portal says nothing about the call.
    call.and_then(|call| call.state(client.rates()))
        .ok_or(ControlError::Unreachable)
}

async fn change(client: &Client, carrier_id: &str, below: &str, form: &[(&str, &str)]) -> Result<(), ControlError> {
    // The id becomes part of a path.
    if !is_call_sid(carrier_id) {
        return Err(ControlError::CallEnded);
    }
    done(client.post(&format!("/Calls/{carrier_id}{below}.json"), form).await).map(drop)
}

fn done(response: Result<Response, Outcome>) -> Result<Response, ControlError> {
    let response = response.map_err(|outcome| match outcome {
        Outcome::Refused(refusal) if refusal.class != RefusalClass::Unreachable => {
            ControlError::Refused("the request can't be made".to_owned())
        }
        _ => ControlError::Unreachable,
    })?;
    if response.status.is_success() {
        return Ok(response);
    }
    let code = serde_json::from_slice(&response.body)
        .ok()
        .map(|body: ErrorBody| body.code);
    Err(match (response.status, code) {
        // 20404: no such call, or long over. 21220: not in progress (Twilio, error dictionary).
        (StatusCode::NOT_FOUND, _) | (_, Some(20404 | 21220)) => ControlError::CallEnded,
        // Also throttled: the command can be repeated.
        (status, _) if !status.is_client_error() || status == StatusCode::REQUEST_TIMEOUT => ControlError::Unreachable,
        (StatusCode::TOO_MANY_REQUESTS, _) | (_, Some(20429)) => ControlError::Unreachable,
        (status, code) => ControlError::Refused(code.map_or_else(|| status.as_u16().to_string(), |c| c.to_string())),
    })
}
