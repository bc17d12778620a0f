//! Wire formats of calls.

use butt_dial_calls::{
    lookup::{Call, CallDetails},
    notifications::CallNotification,
    originate::OriginatedCall,
    state::{Responder, Speaker, TranscriptEntry},
};
use butt_dial_domain::{
    Code, Failure, Micros,
    call::{CallStatus, Direction},
    message::Status,
    spoken_revocation::{RevocationCertainty, SpokenRevocation},
};
use butt_dial_messaging::SendReceipt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::time;

/// The turnId of a turn. Some models convert it to a number.
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
            Failure::new(Code::InvalidArgument, "turnId is invalid")
                .hint("pass the turnId of the turn that you answer, or omit it")
        })
    }
}

/// An event of a call: a turn to answer, or the end of the call.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnView {
    /// call.incoming, call.turn or call.ended.
    event: &'static str,
    call_id: String,
    /// Pass it with the reply: a reply to an older turn is not spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    turn_id: Option<String>,
    /// The caller's latest words.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The keys that the caller pressed in this turn, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    digits: Option<String>,
    /// On a call of yours: screening (say who calls, and why), menu (press keys with comms_send_digits), or voicemail.
    #[serde(skip_serializing_if = "Option::is_none")]
    callee: Option<&'static str>,
    /// The caller's words revoke consent. clear: the number is not called or written to again once the call has ended, so confirm
    /// it and say goodbye. likely: ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    revocation: Option<RevocationView>,
    /// inbound or outbound.
    direction: Direction,
    from: String,
    to: String,
    /// The language that the caller speaks, such as en-US.
    language: String,
    /// The current responder: agent (you) or machine (the voicemail).
    handled_by: &'static str,
    /// The latest transcript entries, newest last. Replies contain what the caller has heard.
    history: Vec<TranscriptView>,
    /// The systemPrompt of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    system_prompt: Option<String>,
    /// Why the call ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevocationView {
    /// clear or likely.
    certainty: &'static str,
    /// The number is not that of the person who gave consent.
    wrong_number: bool,
}

impl From<SpokenRevocation> for RevocationView {
    fn from(revocation: SpokenRevocation) -> Self {
        Self {
            certainty: match revocation.certainty {
                RevocationCertainty::Clear => "clear",
                RevocationCertainty::Likely => "likely",
            },
            wrong_number: revocation.wrong_number,
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TranscriptView {
    /// caller, agent or machine.
    by: &'static str,
    text: String,
    /// The caller interrupted it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_cut: bool,
    /// The rest of a reply that was cut, shortened: the caller did not hear it.
    #[serde(skip_serializing_if = "Option::is_none")]
    unheard: Option<String>,
    at: String,
}

impl From<CallNotification> for TurnView {
    fn from(notification: CallNotification) -> Self {
        Self {
            event: notification.event.as_str(),
            call_id: notification.call_id.into_string(),
            turn_id: notification.turn_id,
            text: notification.text,
            digits: notification.digits,
            callee: notification.callee.map(Into::into),
            revocation: notification.revocation.map(RevocationView::from),
            direction: notification.direction,
            from: notification.from,
            to: notification.to,
            language: notification.language,
            handled_by: responder(notification.handled_by),
            history: notification.history.into_iter().map(TranscriptView::from).collect(),
            system_prompt: notification.system_prompt,
            reason: notification.reason,
        }
    }
}

impl TurnView {
    /// Converts it to an event of the agent.
    pub fn into_event(self) -> Map<String, Value> {
        let mut event = match json!(self) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        event.insert("type".into(), json!(self.event));
        event
    }
}

impl From<TranscriptEntry> for TranscriptView {
    fn from(entry: TranscriptEntry) -> Self {
        Self {
            by: match entry.by {
                Speaker::Caller => "caller",
                Speaker::Agent => "agent",
                Speaker::Voicemail => "machine",
            },
            text: entry.text,
            is_cut: entry.is_cut,
            unheard: entry.unheard,
            at: time(entry.at),
        }
    }
}

fn responder(responder: Responder) -> &'static str {
    match responder {
        Responder::Agent => "agent",
        Responder::Voicemail => "machine",
    }
}

/// The result of placing a call.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlacedView {
    call_id: String,
    /// The carrier's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    call_sid: Option<String>,
    /// The same as callId.
    session_id: String,
    /// The same as callId; accepted by comms_get_message_status.
    message_id: String,
    /// queued: the carrier has accepted the call. pending: the outcome is not known yet; an event reports it.
    status: String,
    from: String,
    to: String,
    /// US dollars for the first minute. An estimate until the carrier reports its price.
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<f64>,
    /// The result of an earlier request with the same key. No call was placed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub advisories: Vec<String>,
}

impl From<OriginatedCall> for PlacedView {
    fn from(placed: OriginatedCall) -> Self {
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
            advisories: advice,
        }
    }
}

/// A call.
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
    /// human, machine_start, machine_end, fax or unknown, when machine detection is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_by: Option<&'static str>,
    /// The responder: agent, machine (the voicemail), message (a voice message) or transfer.
    #[serde(skip_serializing_if = "Option::is_none")]
    handled_by: Option<String>,
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    answered_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<i64>,
    /// The number of replies.
    turns: i64,
    /// Milliseconds from the caller's last word to the reply: p50Ms, p95Ms, maxMs, and turnsMs for each turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Value>,
    /// US dollars, as the carrier reports. Until then, the reserved amount.
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
        let (from, to) = call.direction.caller_and_callee(call.local_number, call.remote_number);
        // Carriers report whole seconds: a rounded time must not precede its cause.
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
            answered_by: call.answered_by.map(|kind| kind.as_str()),
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

/// A call with its transcript and its live state.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FullCall {
    #[serde(flatten)]
    call: CallView,
    /// The transcript, one line per entry, while it is retained. The rest of a reply that was cut follows it in brackets.
    #[serde(skip_serializing_if = "Option::is_none")]
    transcript: Option<String>,
    /// The current state of the conversation, during the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<LiveView>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveView {
    /// The current responder: agent (you) or machine (the voicemail).
    handled_by: &'static str,
    /// The latest turn.
    turn_id: String,
    /// The turn waits for a reply.
    is_pending: bool,
    history: Vec<TranscriptView>,
}

impl From<CallDetails> for FullCall {
    fn from(details: CallDetails) -> Self {
        let live = details.live.filter(|state| state.ended.is_none());
        Self {
            call: details.record.into(),
            transcript: details.transcript,
            live: live.map(|state| LiveView {
                handled_by: responder(state.responder),
                turn_id: state.turn.to_string(),
                is_pending: state.is_pending,
                history: state.history.into_iter().map(TranscriptView::from).collect(),
            }),
        }
    }
}
