//! The JSON rows that the two writes pass to their statements, one per item. They must not be stored or logged.

use butt_dial_domain::{AgentId, Channel, MessageId, Micros, OrgId, clock::Timestamp, message::ThreadRef};
use serde::{Serialize, Serializer};

use super::{AcceptedSend, SendResult, SettledSend, TraceStep};

/// Formats a time like sqlx does for SQLite, so that times in JSON and in columns can be compared.
pub(crate) fn time_text(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false)
}

fn as_time_text<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time_text(*at))
}

/// Writes a step without allocating. `None` is left out.
fn as_text<S: Serializer>(step: &Option<&TraceStep>, serializer: S) -> Result<S::Ok, S::Error> {
    match step {
        Some(step) => serializer.collect_str(step),
        None => serializer.serialize_none(),
    }
}

fn as_hex<S: Serializer>(bytes: &&[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}

/// A message to accept.
#[derive(Serialize)]
pub struct AcceptRow<'a> {
    id: &'a MessageId,
    org_id: &'a OrgId,
    agent_id: &'a AgentId,
    channel: Channel,
    sender: &'a str,
    recipient: &'a str,
    contact: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<u8>,
    idempotency_key: &'a str,
    request_hash: &'a str,
    body_hash: &'a str,
    #[serde(serialize_with = "as_hex")]
    content: &'a [u8],
    #[serde(skip_serializing_if = "Option::is_none")]
    keep: Option<u8>,
    fallback: Option<String>,
    verdict: &'static str,
    rule: Option<&'a str>,
    send_purpose: &'static str,
    ruling: Option<&'a str>,
    carrier: &'static str,
    estimate: i64,
    day: String,
    agent_day_cap: Option<Micros>,
    agent_month_cap: Option<Micros>,
    org_day_cap: Option<Micros>,
    org_month_cap: Option<Micros>,
    budget_id: Option<&'a str>,
    budget_cap: Option<Micros>,
    budget_day_cap: Option<Micros>,
    #[serde(flatten)]
    thread: &'a ThreadRef,
    replica: &'a str,
    #[serde(serialize_with = "as_time_text")]
    at: Timestamp,
    #[serde(serialize_with = "as_time_text")]
    check_at: Timestamp,
}

impl<'a> From<&'a AcceptedSend> for AcceptRow<'a> {
    fn from(send: &'a AcceptedSend) -> Self {
        let budget = send.budget.as_ref();
        Self {
            id: &send.id,
            org_id: &send.org,
            agent_id: &send.agent,
            channel: send.channel,
            sender: &send.sender,
            recipient: &send.recipient,
            contact: send.contact.as_deref(),
            answers: send.is_answer.then_some(1),
            idempotency_key: &send.idempotency_key,
            request_hash: &send.request_hash,
            body_hash: &send.body_hash,
            content: &send.content,
            keep: send.is_kept.then_some(1),
            fallback: send.fallback.as_ref().map(hex::encode),
            verdict: send.verdict,
            rule: send.rule.as_deref(),
            send_purpose: send.purpose.as_str(),
            ruling: send.ruling.as_deref(),
            carrier: send.carrier,
            estimate: send.estimate,
            day: send.at.date_naive().to_string(),
            agent_day_cap: send.agent_limits.max_spend_per_day,
            agent_month_cap: send.agent_limits.max_spend_per_month,
            org_day_cap: send.org_limits.max_spend_per_day,
            org_month_cap: send.org_limits.max_spend_per_month,
            budget_id: budget.map(|budget| budget.id.as_str()),
            budget_cap: budget.and_then(|budget| budget.max_spend),
            budget_day_cap: budget.and_then(|budget| budget.max_spend_per_day),
            thread: &send.thread,
            replica: &send.replica,
            at: send.at,
            check_at: send.check_at,
        }
    }
}

/// `final` and `frees_key` are 0 or 1: the engines compare JSON booleans differently.
#[derive(Serialize)]
pub struct SettleRow<'a> {
    id: &'a MessageId,
    status: &'static str,
    outcome: &'static str,
    detail: Option<&'a str>,
    #[serde(serialize_with = "as_time_text")]
    at: Timestamp,
    frees_key: u8,
    r#final: u8,
    carrier_id: Option<&'a str>,
    carrier_status: Option<&'a str>,
    segments: Option<u32>,
    cost: Option<i64>,
    failure: Option<&'static str>,
    check_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disclosed: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    trace: Option<&'a TraceStep>,
}

impl<'a> From<&'a SettledSend> for SettleRow<'a> {
    fn from(settled: &'a SettledSend) -> Self {
        let row = Self {
            id: &settled.id,
            status: settled.result.status().as_str(),
            outcome: settled.outcome.into(),
            detail: settled.detail.as_deref(),
            at: settled.at,
            frees_key: 0,
            r#final: 1,
            carrier_id: None,
            carrier_status: None,
            segments: None,
            cost: None,
            failure: None,
            check_at: None,
            disclosed: settled.disclosed_to.as_deref(),
            trace: settled.trace.as_ref(),
        };
        match &settled.result {
            SendResult::Accepted {
                carrier_id,
                carrier_status,
                segments,
                cost,
            } => Self {
                // Empty: the carrier gave the id to another message as well.
                carrier_id: Some(carrier_id.as_str()).filter(|id| !id.is_empty()),
                carrier_status: Some(carrier_status),
                segments: *segments,
                cost: Some(*cost),
                ..row
            },
            SendResult::Failed { failure, frees_key } => Self {
                failure: Some(failure),
                cost: Some(0),
                frees_key: u8::from(*frees_key),
                ..row
            },
            SendResult::Unknown { check_at } => Self {
                r#final: 0,
                check_at: Some(time_text(*check_at)),
                ..row
            },
            SendResult::Unconfirmed => row,
        }
    }
}
