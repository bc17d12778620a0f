//! How calls look on the wire.

use butt_dial_comms::{
    calls::{
        known::{Call, Known},
        place::Placed,
        signal::Signal,
        state::{Line, Mind, Speaker},
    },
    outbound::SendReceipt,
};
use butt_dial_domain::{
    Code, Failure, Micros,
    call::{CallStatus, Direction},
    message::Status,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::operations::time;

/// A turn of the conversation, as it was handed out. Some models make a number of it.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum TurnId {
    Text(String),
    Number(u64),
}

impl TurnId {
    pub fn number(&self) -> Result<u64, Failure> {
        let number = match self {
            Self::Text(text) => text.trim().parse().ok(),
            Self::Number(number) => Some(*number),
        };
        number.ok_or_else(|| {
            Failure::new(Code::InvalidArgument, "turnId is not one that was handed out")
                .remedy("pass the turnId of the turn that you answer, or leave it out")
        })
    }
}

/// Something that happens on a call: somebody is to be answered, or it is over.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnView {
    /// call.incoming, call.turn or call.ended.
    event: &'static str,
    call_id: String,
    /// Pass it with the answer: an answer to an older turn is not spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    turn_id: Option<String>,
    /// What the caller has just said.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// inbound or outbound.
    direction: Direction,
    from: String,
    to: String,
    /// What is spoken, as in en-US.
    language: String,
    /// Who talks with the caller right now: agent (you), or machine.
    handled_by: &'static str,
    /// The last lines, the newest last; of ours, what the caller has heard.
    history: Vec<LineView>,
    /// What you gave with the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    system_prompt: Option<String>,
    /// Why it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LineView {
    /// caller, agent or machine.
    by: &'static str,
    text: String,
    /// The caller did not let it be said to its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_cut: bool,
    at: String,
}

impl From<Signal> for TurnView {
    fn from(signal: Signal) -> Self {
        Self {
            event: signal.event.as_str(),
            call_id: signal.call_id.into_string(),
            turn_id: signal.turn_id,
            text: signal.text,
            direction: signal.direction,
            from: signal.from,
            to: signal.to,
            language: signal.language,
            handled_by: mind(signal.handled_by),
            history: signal.history.into_iter().map(LineView::from).collect(),
            system_prompt: signal.system_prompt,
            reason: signal.reason,
        }
    }
}

impl TurnView {
    /// As one of the agent's events.
    pub fn into_event(self) -> Map<String, Value> {
        let mut event = match json!(self) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        event.insert("type".into(), json!(self.event));
        event
    }
}

impl From<Line> for LineView {
    fn from(line: Line) -> Self {
        Self {
            by: match line.by {
                Speaker::Caller => "caller",
                Speaker::Agent => "agent",
                Speaker::Machine => "machine",
            },
            text: line.text,
            is_cut: line.is_cut,
            at: time(line.at),
        }
    }
}

fn mind(mind: Mind) -> &'static str {
    match mind {
        Mind::Agent => "agent",
        Mind::Machine => "machine",
    }
}

/// A call that was placed.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacedView {
    call_id: String,
    /// The carrier's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    call_sid: Option<String>,
    /// The same as callId.
    session_id: String,
    /// The same as callId: comms_get_message_status takes it.
    message_id: String,
    /// queued: the carrier has taken it. pending: being found out; an event tells.
    status: String,
    from: String,
    to: String,
    /// US dollars for the first minute; an estimate until the carrier tells its price.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    /// This key has been answered before; nobody was called again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advisories: Vec<&'static str>,
}

impl From<Placed> for PlacedView {
    fn from(placed: Placed) -> Self {
        let call = placed.call.into_string();
        let SendReceipt {
            status,
            carrier_id,
            carrier_status,
            from,
            to,
            cost,
            replayed,
            advice,
            ..
        } = placed.receipt;
        Self {
            session_id: call.clone(),
            message_id: call.clone(),
            call_id: call,
            call_sid: carrier_id,
            status: match status {
                Status::Accepted => carrier_status.unwrap_or_else(|| CallStatus::Queued.as_str().to_owned()),
                other => other.for_agent().to_owned(),
            },
            from,
            to,
            cost: cost.map(|cost| cost.as_units()),
            replayed,
            advisories: advice.into_iter().collect(),
        }
    }
}

/// A call as it is written down.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallView {
    pub call_id: String,
    /// The carrier's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    call_sid: Option<String>,
    direction: Direction,
    /// queued, initiated, ringing, in-progress, completed, busy, no-answer, canceled or failed.
    status: CallStatus,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    /// human, machine_start, machine_end, fax or unknown, where machines are looked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by: Option<&'static str>,
    /// Who spoke for you: agent, machine, message (recorded after the beep, or told the machine) or transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    handled_by: Option<String>,
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<i64>,
    /// How often the caller was answered.
    turns: i64,
    /// Milliseconds from the caller's last word to the answer: p50Ms, p95Ms, maxMs, and turnsMs, one after the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Value>,
    /// US dollars, as the carrier says; of one call, what is booked for it until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recording_seconds: Option<i64>,
}

impl From<Call> for CallView {
    fn from(call: Call) -> Self {
        let (from, to) = call.direction.ends(call.local_number, call.remote_number);
        // Carriers tell whole seconds, and we do not: nothing has happened before what led to it.
        let answered_at = call.answered_at.map(|at| at.max(call.created_at));
        let ended_at = call.ended_at.map(|at| at.max(answered_at.unwrap_or(call.created_at)));
        Self {
            call_id: call.id.into_string(),
            call_sid: call.carrier_id,
            direction: call.direction,
            status: call.status,
            from,
            to,
            provider: Some(call.carrier),
            answered_by: call.answered_by.map(|who| who.as_str()),
            handled_by: call.handled_by,
            started_at: time(call.created_at),
            answered_at: answered_at.map(time),
            ended_at: ended_at.map(time),
            duration_seconds: call.duration_seconds,
            turns: call.turns,
            latency: call.latency,
            cost: call.cost.map(|micros| Micros(micros).as_units()),
            error_code: call.error_code,
            end_reason: call.end_reason,
            recording_seconds: call.recording_seconds,
        }
    }
}

/// A call with all that is known of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FullCall {
    #[serde(flatten)]
    call: CallView,
    /// What was said, a line each, as long as it is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    transcript: Option<String>,
    /// The conversation as it stands, while the call lasts.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<LiveView>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveView {
    /// Who talks with the caller right now: agent (you), or machine.
    handled_by: &'static str,
    /// The last turn.
    turn_id: String,
    /// It waits for an answer.
    is_pending: bool,
    history: Vec<LineView>,
}

impl From<Known> for FullCall {
    fn from(known: Known) -> Self {
        let live = known.live.filter(|state| state.ended.is_none());
        Self {
            call: known.record.into(),
            transcript: known.transcript,
            live: live.map(|state| LiveView {
                handled_by: mind(state.mind),
                turn_id: state.turn.to_string(),
                is_pending: state.is_pending,
                history: state.history.into_iter().map(LineView::from).collect(),
            }),
        }
    }
}
