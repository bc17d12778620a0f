//! The two writes of every send: `accept_send` before the request to the carrier leaves, `settle_send` after its outcome is
//! known. Each is one round trip on Postgres, shared by all callers of the same moment.

mod postgres;
mod sqlite;

use butt_dial_domain::{AgentId, Channel, MessageId, OrgId, clock::Timestamp, limits::Limits, message::Status};
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;

use crate::{Store, StoreError, engine::Engine, group::Group};

/// A message that passed every check, with all that is written about it before it is sent.
#[derive(Clone)]
pub struct AcceptedSend {
    pub id: MessageId,
    pub org: OrgId,
    pub agent: AgentId,
    pub channel: Channel,
    pub sender: String,
    pub recipient: String,
    pub idempotency_key: String,
    /// Hex of a hash over what makes two requests the same.
    pub request_hash: String,
    /// Hex of a keyed hash of the body.
    pub body_hash: String,
    /// Encrypted.
    pub content: Vec<u8>,
    pub verdict: &'static str,
    pub rule: Option<String>,
    pub carrier: &'static str,
    /// Micro-units to reserve.
    pub estimate: i64,
    pub agent_limits: Limits,
    pub org_limits: Limits,
    pub thread_id: Option<String>,
    pub entity_id: Option<String>,
    pub reply_msg_id: Option<String>,
    pub replica: String,
    pub at: Timestamp,
    /// When the sender must have settled it; afterwards the reconciler asks the carrier.
    pub check_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// Written down; it may be sent, by this caller only.
    Accepted,
    /// This idempotency key names another message already.
    Earlier(MessageId),
}

/// What became of a try to send.
#[derive(Clone, Debug)]
pub struct SettledSend {
    pub id: MessageId,
    pub result: SendResult,
    /// One word for the attempt: `accepted`, `refused`, `unknown`, `reconciled`, `unconfirmed`.
    pub outcome: &'static str,
    /// The carrier's code or the kind of doubt; never a body or an address.
    pub detail: Option<String>,
    pub at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendResult {
    Accepted {
        carrier_id: String,
        carrier_status: String,
        segments: Option<u32>,
        cost: i64,
    },
    /// `frees_key`: nothing came of it and it may be tried again, so the idempotency key is free for a new message.
    Failed { failure: &'static str, frees_key: bool },
    /// Looked at again at `check_at`. The reservation stays.
    Unknown { check_at: Timestamp },
    /// Could not be found out. The money counts as spent: the carrier may have sent it.
    Unconfirmed,
}

impl SendResult {
    fn status(&self) -> Status {
        match self {
            Self::Accepted { .. } => Status::Accepted,
            Self::Failed { .. } => Status::Failed,
            Self::Unknown { .. } => Status::Unknown,
            Self::Unconfirmed => Status::Unconfirmed,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Groups {
    accept: Group<AcceptedSend, Acceptance>,
    settle: Group<SettledSend, bool>,
}

impl Groups {
    pub fn start(engine: &Engine, tasks: &TaskTracker) -> Self {
        match engine {
            Engine::Postgres(pool) => {
                let (a, b) = (pool.clone(), pool.clone());
                Self {
                    accept: Group::start(tasks, move |items| postgres::accept(a.clone(), items)),
                    settle: Group::start(tasks, move |items| postgres::settle(b.clone(), items)),
                }
            }
            Engine::Sqlite { write, .. } => {
                let (a, b) = (write.clone(), write.clone());
                Self {
                    accept: Group::start(tasks, move |items| sqlite::accept(a.clone(), items)),
                    settle: Group::start(tasks, move |items| sqlite::settle(b.clone(), items)),
                }
            }
        }
    }
}

impl Store {
    /// Writes the message, its idempotency key, its first attempt and its reservation, or nothing of them.
    /// Safe to repeat with the same id after an error that left it open whether the write happened.
    /// `OverBudget` when the reservation does not fit.
    pub async fn accept_send(&self, send: AcceptedSend) -> Result<Acceptance, StoreError> {
        self.groups.accept.submit(send).await
    }

    /// Writes the outcome, settles the money and counts the usage. False when the message was settled before: then nothing changes.
    pub async fn settle_send(&self, settled: SettledSend) -> Result<bool, StoreError> {
        self.groups.settle.submit(settled).await
    }
}

/// A time as sqlx writes it into SQLite, so that times inside JSON compare with times in columns.
pub(crate) fn time_text(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, false)
}

fn accept_json(item: &AcceptedSend) -> Value {
    let cap = |limit: Option<butt_dial_domain::Micros>| limit.map(|m| m.0);
    json!({
        "id": item.id, "org_id": item.org, "agent_id": item.agent, "channel": item.channel,
        "sender": item.sender, "recipient": item.recipient,
        "idempotency_key": item.idempotency_key, "request_hash": item.request_hash, "body_hash": item.body_hash,
        "content": hex(&item.content), "verdict": item.verdict, "rule": item.rule, "carrier": item.carrier,
        "estimate": item.estimate, "day": item.at.format("%Y-%m-%d").to_string(),
        "agent_day_cap": cap(item.agent_limits.max_spend_per_day), "agent_month_cap": cap(item.agent_limits.max_spend_per_month),
        "org_day_cap": cap(item.org_limits.max_spend_per_day), "org_month_cap": cap(item.org_limits.max_spend_per_month),
        "thread_id": item.thread_id, "entity_id": item.entity_id, "reply_msg_id": item.reply_msg_id,
        "replica": item.replica, "at": time_text(item.at), "check_at": time_text(item.check_at),
    })
}

fn settle_json(item: &SettledSend) -> Value {
    let mut row = json!({
        "id": item.id, "status": item.result.status().as_str(), "outcome": item.outcome, "detail": item.detail,
        "at": time_text(item.at), "frees_key": 0, "final": 1,
    });
    match &item.result {
        SendResult::Accepted {
            carrier_id,
            carrier_status,
            segments,
            cost,
        } => {
            row["carrier_id"] = json!(carrier_id);
            row["carrier_status"] = json!(carrier_status);
            row["segments"] = json!(segments);
            row["cost"] = json!(cost);
        }
        SendResult::Failed { failure, frees_key } => {
            row["failure"] = json!(failure);
            row["cost"] = json!(0);
            row["frees_key"] = json!(i32::from(*frees_key));
        }
        SendResult::Unknown { check_at } => {
            row["final"] = json!(0);
            row["check_at"] = json!(time_text(*check_at));
        }
        SendResult::Unconfirmed => {}
    }
    row
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a String can't fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// Which items were taken: those whose ids came back, once each, and the earlier ones that their keys named.
fn answers(items: &[AcceptedSend], accepted: &[String], earlier: &[(String, String, String)]) -> Vec<Acceptance> {
    let accepted: std::collections::HashSet<&str> = accepted.iter().map(String::as_str).collect();
    items
        .iter()
        .map(|item| {
            if accepted.contains(item.id.as_str()) {
                return Acceptance::Accepted;
            }
            let key = (item.agent.as_str(), item.idempotency_key.as_str());
            match earlier.iter().find(|(_, agent, k)| (agent.as_str(), k.as_str()) == key) {
                // Our own row: an earlier try of this very write had been committed after all.
                Some((id, ..)) if id == item.id.as_str() => Acceptance::Accepted,
                Some((id, ..)) => Acceptance::Earlier(id.as_str().into()),
                None => Acceptance::Accepted,
            }
        })
        .collect()
}
