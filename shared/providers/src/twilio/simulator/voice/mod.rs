//! Twilio's voice API: the Calls resource and its subresources, webhooks that request TwiML, and sockets of
//! ConversationRelay (Twilio, Programmable Voice).

mod call_webhooks;
mod conversation;
mod dialing;
pub mod frames;
mod listing;
mod live_call;
mod message_recording;
mod outbound_call;
mod recording;
mod relay;
mod script;
mod socket;
pub mod speech;
mod speech_input;
pub mod twiml;
mod validation;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::StatusCode,
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use butt_dial_domain::{
    call::{AnsweredBy, CallStatus, Direction},
    clock::Timestamp,
    ports::voice::RecordingChange,
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use url::form_urlencoded;

use self::{
    live_call::{Flow, LiveCall},
    validation::{Fields, ValidCall},
};
use super::{ACCOUNT_SID, ERROR_FORMAT, ID, accounts, deletion, error::ApiError};
use crate::{
    simulator::{
        SimulatorState,
        calls::{ApiCommand, Call, NewCall},
        faults,
    },
    twilio::wire::VERSION,
};

pub fn router(simulator: &SimulatorState) -> Router<SimulatorState> {
    simulator.register_call_handler(ID, handle_inbound_call);
    let send = middleware::from_fn_with_state((simulator.clone(), ERROR_FORMAT), faults::inject_faults);
    let account = format!("/{VERSION}/Accounts/{{account}}");
    Router::new()
        .route(
            &format!("{account}/Calls.json"),
            post(create).layer(send).get(listing::list),
        )
        .route(
            &format!("{account}/Calls/{{call}}"),
            get(fetch).post(update).delete(deletion::resource),
        )
        .route(&format!("{account}/Calls/{{call}}/Recordings.json"), post(record))
        .route(
            &format!("{account}/Calls/{{call}}/Recordings/{{recording}}"),
            post(change_recording),
        )
        .route(
            &format!("{account}/Conferences/{{name}}/Participants.json"),
            post(invite),
        )
        .route(
            &format!("{account}/Recordings/{{file}}"),
            get(recording::sound).delete(deletion::resource),
        )
}

/// Handles a call to one of our numbers: requests TwiML from the webhook.
fn handle_inbound_call(simulator: &SimulatorState, new_call: NewCall, url: String) {
    let mut live = LiveCall::new(simulator, new_call);
    // A bought number has its own URLs.
    let number = simulator.account_book().find_number(live.call.to());
    let own_url = |name: &str| {
        let url = number.as_ref().map(|number| number.field(name).to_owned());
        url.filter(|url| !url.is_empty())
    };
    live.status_url = own_url("StatusCallback").or_else(|| simulator.number_status_url());
    let url = own_url("VoiceUrl").unwrap_or(url);
    live.events = vec!["completed".to_owned()];
    simulator.spawn(async move {
        live.call.change(|state| state.status = CallStatus::Ringing);
        let more = [
            ("StirVerstat", "TN-Validation-Passed-A".to_owned()),
            ("CallToken", "{}".to_owned()),
        ];
        let status = match live.fetch_and_run(&url, &more).await {
            Flow::Goto(verbs) => script::execute(&mut live, verbs).await,
            Flow::Over(status) => status,
            Flow::Next => CallStatus::Completed,
        };
        live.end(status).await;
    });
}

async fn create(State(simulator): State<SimulatorState>, Path(account): Path<String>, body: Bytes) -> Response {
    place(&simulator, &account, &body, None).unwrap_or_else(ApiError::into_response)
}

async fn invite(
    State(simulator): State<SimulatorState>,
    Path((account, name)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    place(&simulator, &account, &body, Some(name)).unwrap_or_else(ApiError::into_response)
}

fn place(
    simulator: &SimulatorState,
    account: &str,
    body: &[u8],
    conference: Option<String>,
) -> Result<Response, ApiError> {
    let fields = decoded(body);
    let draft = ValidCall::parse(simulator, account, &Fields(&fields), conference.clone())?;
    let id = format!("CA{}", uuid::Uuid::new_v4().simple());
    let new_call = simulator.open_call(ID, id, &draft.from, &draft.to, Direction::Outbound);
    let call = new_call.call.clone();
    let mut live = LiveCall::new(simulator, new_call);
    live.status_url = draft.status_url;
    live.events = draft.events;
    simulator.spawn(async move {
        if draft.records {
            recording::start(&live.simulator, &live.call, recording::new_id(), None);
        }
        outbound_call::run_outbound_call(live, draft.outbound).await;
    });
    let answer = match conference {
        None => rendered(&call),
        Some(name) => json!({
            "account_sid": ACCOUNT_SID, "call_sid": call.id(), "conference_sid": format!("CF{name}"),
            "status": "queued",
        }),
    };
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

async fn fetch(State(simulator): State<SimulatorState>, Path((_, file)): Path<(String, String)>) -> Response {
    match find(&simulator, &file) {
        Ok(call) => Json(rendered(&call)).into_response(),
        Err(error) => error.into_response(),
    }
}

/// Redirects or ends a live call.
async fn update(
    State(simulator): State<SimulatorState>,
    Path((_, file)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let fields = decoded(&body);
    let changed = find(&simulator, &file).and_then(|call| change(&call, &Fields(&fields)).map(|()| call));
    match changed {
        Ok(call) => Json(rendered(&call)).into_response(),
        Err(error) => error.into_response(),
    }
}

fn change(call: &Call, fields: &Fields) -> Result<(), ApiError> {
    let order = match (fields.find("Status"), fields.url("Url", 21205)?, fields.twiml()?) {
        (Some("completed" | "canceled"), ..) => ApiCommand::HangUp,
        (Some(_), ..) => return Err(ApiError::bad(21219, "Status is not valid")),
        (None, Some(url), _) => ApiCommand::Fetch(url),
        (None, None, Some(document)) => ApiCommand::Run(document),
        _ => return Err(ApiError::bad(20001, "There is nothing to change")),
    };
    let redirects = !matches!(order, ApiCommand::HangUp);
    let status = call.status();
    let is_possible = !status.is_over() && (!redirects || status == CallStatus::InProgress);
    if is_possible && call.send_api_command(order) {
        return Ok(());
    }
    Err(ApiError::bad(21220, "Call is not in-progress. Cannot redirect."))
}

async fn record(
    State(simulator): State<SimulatorState>,
    Path((_, sid)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let fields = decoded(&body);
    let started_at = find(&simulator, &format!("{sid}.json")).and_then(|call| {
        let url = Fields(&fields).url("RecordingStatusCallback", 21609)?;
        let id = recording::new_id();
        let order = ApiCommand::Record { id: id.clone(), url };
        if call.status() == CallStatus::InProgress && call.send_api_command(order) {
            Ok(id)
        } else {
            Err(ApiError::bad(21220, "Requested resource is not eligible for recording"))
        }
    });
    match started_at {
        Ok(id) => {
            let shown = json!({ "sid": id, "call_sid": sid, "account_sid": ACCOUNT_SID, "status": "in-progress" });
            (StatusCode::CREATED, Json(shown)).into_response()
        }
        Err(error) => error.into_response(),
    }
}

/// Pauses, resumes or stops the running recording of a call.
async fn change_recording(
    State(simulator): State<SimulatorState>,
    Path((_, sid, recording)): Path<(String, String, String)>,
    body: Bytes,
) -> Response {
    let fields = decoded(&body);
    let change = match Fields(&fields).find("Status") {
        Some("paused") => RecordingChange::Pause,
        Some("in-progress") => RecordingChange::Resume,
        Some("stopped") => RecordingChange::Stop,
        _ => return ApiError::bad(21219, "Status is not valid").into_response(),
    };
    let call = match find(&simulator, &format!("{sid}.json")) {
        Ok(call) if recording == "Twilio.CURRENT.json" => call,
        Ok(_) => return ApiError::not_found().into_response(),
        Err(error) => return error.into_response(),
    };
    // At once, although the call may wait for a script.
    match recording::change(&simulator, &call, change) {
        true => Json(json!({ "call_sid": sid, "status": Fields(&fields).find("Status") })).into_response(),
        false => ApiError::not_found().into_response(),
    }
}

fn find(simulator: &SimulatorState, file: &str) -> Result<Call, ApiError> {
    let call = file.strip_suffix(".json").and_then(|sid| simulator.find_call(sid));
    call.filter(|call| call.vendor() == ID).ok_or_else(ApiError::not_found)
}

fn decoded(body: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// Renders the Calls resource. Counts are strings.
fn rendered(call: &Call) -> Value {
    let state = call.state();
    // A queued call has no start time.
    let started_at = (state.status != CallStatus::Queued).then(|| call.created_at().to_rfc2822());
    let lasted = state
        .ended_ms
        .zip(state.answered_ms)
        .map(|(end, start)| (end - start) / 1_000);
    json!({
        "sid": call.id(),
        "account_sid": ACCOUNT_SID,
        "api_version": VERSION,
        "to": call.to(),
        "from": call.from(),
        "status": status_label(state.status),
        "direction": direction(call),
        "answered_by": state.answered_by.map(answered_by_label),
        "date_created": call.created_at().to_rfc2822(),
        "date_updated": call.created_at().to_rfc2822(),
        "start_time": started_at,
        "end_time": state.ended_ms.map(|end| after(call, end).to_rfc2822()),
        "duration": lasted.map(|seconds| seconds.to_string()),
        "price": null,
        "parent_call_sid": null,
        "queue_time": "0",
        "uri": format!("/{VERSION}/Accounts/{ACCOUNT_SID}/Calls/{}.json", call.id()),
    })
}

fn after(call: &Call, ms: u64) -> Timestamp {
    call.created_at() + TimeDelta::milliseconds(i64::try_from(ms).unwrap_or_default())
}

/// Returns the API's label. `initiated` exists only in callbacks.
fn status_label(status: CallStatus) -> &'static str {
    match status {
        CallStatus::Initiated => "queued",
        status => status.as_str(),
    }
}

fn direction(call: &Call) -> &'static str {
    match call.direction() {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound-api",
    }
}

fn answered_by_label(answered_by: AnsweredBy) -> &'static str {
    match answered_by {
        AnsweredBy::MachineEnd => "machine_end_beep",
        answered_by => answered_by.as_str(),
    }
}

/// Returns the account that has our number of the call.
fn account_of(simulator: &SimulatorState, call: &Call) -> String {
    accounts::owner_of(
        simulator,
        match call.direction() {
            Direction::Inbound => call.to(),
            Direction::Outbound => call.from(),
        },
    )
}

/// Returns the parameters of each request about a call (Twilio, TwiML for Programmable Voice: request parameters).
fn parameters(simulator: &SimulatorState, call: &Call) -> Vec<(String, String)> {
    let account = account_of(simulator, call);
    [
        ("AccountSid", account.as_str()),
        ("ApiVersion", VERSION),
        ("CallSid", call.id()),
        ("CallStatus", call.status().as_str()),
        ("Called", call.to()),
        ("Caller", call.from()),
        ("Direction", direction(call)),
        ("From", call.from()),
        ("To", call.to()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}
