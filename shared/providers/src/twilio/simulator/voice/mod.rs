//! Calls at the simulated Twilio: the Calls resource and what hangs below it, webhooks that ask what to do, and sockets of
//! ConversationRelay (Twilio, Programmable Voice).

mod conversation;
mod dialling;
pub mod frames;
mod intake;
mod line;
mod listing;
mod mouth;
mod recording;
mod relay;
mod socket;
pub mod speech;
pub mod twiml;

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
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use url::form_urlencoded;

use self::{
    intake::{Draft, Fields},
    line::{Flow, Line},
};
use super::{ACCOUNT_SID, ID, VOICE, error::Complaint};
use crate::{
    simulator::{
        World,
        calls::{Call, Order, Ringing},
        misbehaviour,
    },
    twilio::wire::VERSION,
};

pub fn router(world: &World) -> Router<World> {
    world.carry_calls(ID, carry);
    let send = middleware::from_fn_with_state((world.clone(), VOICE), misbehaviour::around_a_send);
    let account = format!("/{VERSION}/Accounts/{{account}}");
    Router::new()
        .route(
            &format!("{account}/Calls.json"),
            post(create).layer(send).get(listing::list),
        )
        .route(&format!("{account}/Calls/{{call}}"), get(fetch).post(update))
        .route(&format!("{account}/Calls/{{call}}/Recordings.json"), post(record))
        .route(
            &format!("{account}/Conferences/{{name}}/Participants.json"),
            post(invite),
        )
        .route(&format!("{account}/Recordings/{{file}}"), get(recording::sound))
}

/// Somebody calls one of our numbers: Twilio asks its webhook what to do.
fn carry(world: &World, ringing: Ringing, url: String) {
    let mut line = Line::new(world, ringing);
    line.status_url = world.number_status_url();
    line.events = vec!["completed".to_owned()];
    world.run(async move {
        line.call.change(|state| state.status = CallStatus::Ringing);
        let more = [
            ("StirVerstat", "TN-Validation-Passed-A".to_owned()),
            ("CallToken", "{}".to_owned()),
        ];
        let status = match line.goto(&url, &more).await {
            Flow::Goto(verbs) => line.follow(verbs).await,
            Flow::Over(status) => status,
            Flow::Next => CallStatus::Completed,
        };
        line.end(status).await;
    });
}

async fn create(State(world): State<World>, body: Bytes) -> Response {
    place(&world, &body, None).unwrap_or_else(Complaint::into_response)
}

async fn invite(State(world): State<World>, Path((_, name)): Path<(String, String)>, body: Bytes) -> Response {
    place(&world, &body, Some(name)).unwrap_or_else(Complaint::into_response)
}

fn place(world: &World, body: &[u8], conference: Option<String>) -> Result<Response, Complaint> {
    let fields = decoded(body);
    let draft = Draft::read(world, &Fields(&fields), conference.clone())?;
    let id = format!("CA{}", uuid::Uuid::new_v4().simple());
    let ringing = world.open_call(ID, id, &draft.from, &draft.to, Direction::Outbound);
    let call = ringing.call.clone();
    let mut line = Line::new(world, ringing);
    line.status_url = draft.status_url;
    line.events = draft.events;
    world.run(async move {
        if draft.records {
            recording::start(&mut line, recording::new_id(), None).await;
        }
        dialling::place(line, draft.placed).await;
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

async fn fetch(State(world): State<World>, Path((_, file)): Path<(String, String)>) -> Response {
    match find(&world, &file) {
        Ok(call) => Json(rendered(&call)).into_response(),
        Err(complaint) => complaint.into_response(),
    }
}

/// A live call is redirected or ended.
async fn update(State(world): State<World>, Path((_, file)): Path<(String, String)>, body: Bytes) -> Response {
    let fields = decoded(&body);
    let changed = find(&world, &file).and_then(|call| change(&call, &Fields(&fields)).map(|()| call));
    match changed {
        Ok(call) => Json(rendered(&call)).into_response(),
        Err(complaint) => complaint.into_response(),
    }
}

fn change(call: &Call, fields: &Fields) -> Result<(), Complaint> {
    let order = match (fields.find("Status"), fields.url("Url", 21205)?, fields.twiml()?) {
        (Some("completed" | "canceled"), ..) => Order::HangUp,
        (Some(_), ..) => return Err(Complaint::bad(21219, "Status is not valid")),
        (None, Some(url), _) => Order::Ask(url),
        (None, None, Some(document)) => Order::Run(document),
        _ => return Err(Complaint::bad(20001, "There is nothing to change")),
    };
    let redirects = !matches!(order, Order::HangUp);
    let status = call.status();
    let is_possible = !status.is_over() && (!redirects || status == CallStatus::InProgress);
    if is_possible && call.order(order) {
        return Ok(());
    }
    Err(Complaint::bad(21220, "Call is not in-progress. Cannot redirect."))
}

async fn record(State(world): State<World>, Path((_, sid)): Path<(String, String)>, body: Bytes) -> Response {
    let fields = decoded(&body);
    let begun = find(&world, &format!("{sid}.json")).and_then(|call| {
        let url = Fields(&fields).url("RecordingStatusCallback", 21609)?;
        let id = recording::new_id();
        let order = Order::Record { id: id.clone(), url };
        if call.status() == CallStatus::InProgress && call.order(order) {
            Ok(id)
        } else {
            Err(Complaint::bad(
                21220,
                "Requested resource is not eligible for recording",
            ))
        }
    });
    match begun {
        Ok(id) => {
            let shown = json!({ "sid": id, "call_sid": sid, "account_sid": ACCOUNT_SID, "status": "in-progress" });
            (StatusCode::CREATED, Json(shown)).into_response()
        }
        Err(complaint) => complaint.into_response(),
    }
}

fn find(world: &World, file: &str) -> Result<Call, Complaint> {
    let call = file.strip_suffix(".json").and_then(|sid| world.find_call(sid));
    call.filter(|call| call.vendor() == ID).ok_or_else(Complaint::not_found)
}

fn decoded(body: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(body).into_owned().collect()
}

/// The resource as Twilio shows it. Counts are texts.
fn rendered(call: &Call) -> Value {
    let state = call.state();
    // A call that has not been dialled has not begun.
    let begun = (state.status != CallStatus::Queued).then(|| call.created_at().to_rfc2822());
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
        "status": word_of(state.status),
        "direction": direction(call),
        "answered_by": state.answered_by.map(word_for),
        "date_created": call.created_at().to_rfc2822(),
        "date_updated": call.created_at().to_rfc2822(),
        "start_time": begun,
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

/// The API does not know `initiated`: that is a word of the callbacks'.
fn word_of(status: CallStatus) -> &'static str {
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

fn word_for(who: AnsweredBy) -> &'static str {
    match who {
        AnsweredBy::MachineEnd => "machine_end_beep",
        who => who.as_str(),
    }
}

/// What stands in every request about a call (Twilio, TwiML for Programmable Voice: request parameters).
fn parameters(call: &Call) -> Vec<(String, String)> {
    [
        ("AccountSid", ACCOUNT_SID),
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
