//! The two writes of every send: `accept_send` before the request to the carrier, `settle_send` after its outcome is known.
//! Each is one round trip on Postgres, shared by concurrent sends (group commit).

pub(crate) mod batchers;
mod postgres;
mod rows;
pub(crate) mod sqlite;

use std::{collections::HashSet, sync::Arc};

use crate::{Store, StoreError};
use butt_dial_domain::{
    AgentId, Channel, MessageId, OrgId,
    clock::Timestamp,
    limits::Limits,
    message::{Status, ThreadRef},
};

pub(crate) use rows::time_text;

/// A message that passed every check, with everything that is stored before it is sent.
#[derive(Clone, bon::Builder)]
pub struct AcceptedSend {
    pub id: MessageId,
    pub org: OrgId,
    pub agent: AgentId,
    pub channel: Channel,
    pub sender: String,
    pub recipient: String,
    pub idempotency_key: String,
    /// Hex of a hash over the fields that identify a repeated request.
    pub request_hash: String,
    /// Hex of a keyed hash of the body.
    pub body_hash: String,
    /// Encrypted.
    pub content: Vec<u8>,
    /// The fallback to send if the carrier accepts the message and reports a failure later. Encrypted.
    pub fallback: Option<Vec<u8>>,
    pub verdict: &'static str,
    pub rule: Option<String>,
    pub carrier: &'static str,
    /// Micro-units to reserve.
    pub estimate: i64,
    pub agent_limits: Limits,
    pub org_limits: Limits,
    pub thread: ThreadRef,
    pub replica: String,
    pub at: Timestamp,
    /// The time by which the sender must have settled it. After that the reconciler checks with the carrier.
    pub check_at: Timestamp,
}

/// The result of `accept_send`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// Stored. It may be sent, by this caller only.
    Accepted,
    /// The idempotency key belongs to this message, or this same message has been settled meanwhile.
    PriorRequest(MessageId),
}

/// The outcome of an attempt.
#[derive(Clone, Debug)]
pub struct SettledSend {
    pub id: MessageId,
    pub result: SendResult,
    pub outcome: AttemptOutcome,
    /// The carrier's code or the reason of ambiguity; never a body or an address.
    pub detail: Option<String>,
    pub at: Timestamp,
}

/// The column `attempts.outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AttemptOutcome {
    Accepted,
    Refused,
    Unknown,
    /// The reconciler found out the result.
    Reconciled,
    /// The reconciler could not find out the result.
    Unconfirmed,
    /// The request to the carrier was never made.
    NotSent,
}

/// The state that a message is settled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendResult {
    Accepted {
        carrier_id: String,
        carrier_status: String,
        segments: Option<u32>,
        cost: i64,
    },
    /// `frees_key`: nothing was sent and a repeat may succeed, so the idempotency key becomes free for a new message.
    Failed { failure: &'static str, frees_key: bool },
    /// The reconciler checks it at `check_at`. The reservation stays.
    Unknown { check_at: Timestamp },
    /// The result is unknown for good. The estimate counts as spent: the carrier may have sent it.
    Unconfirmed,
}

impl SendResult {
    /// Returns the status of a message with this result.
    pub fn status(&self) -> Status {
        match self {
            Self::Accepted { .. } => Status::Accepted,
            Self::Failed { .. } => Status::Failed,
            Self::Unknown { .. } => Status::Unknown,
            Self::Unconfirmed => Status::Unconfirmed,
        }
    }
}

/// A write that shares a transaction of SQLite.
#[derive(Clone)]
enum Write {
    Accept(Arc<AcceptedSend>),
    Settle(SettledSend),
}

/// The result of a write.
enum Written {
    Accepted(Option<Acceptance>),
    Settled(bool),
}

impl Store {
    /// Stores the message, its idempotency key, its first attempt and its reservation, or none of them.
    /// Safe to repeat with the same id after an error that leaves the commit uncertain.
    /// Fails with `OverBudget` when the reservation exceeds a budget.
    pub async fn accept_send(&self, send: impl Into<Arc<AcceptedSend>>) -> Result<Acceptance, StoreError> {
        let send = send.into();
        // `None`: the key was taken during the write and is free again.
        loop {
            if let Some(acceptance) = self.batchers.accept(send.clone()).await? {
                return Ok(acceptance);
            }
        }
    }

    /// Stores the outcome, settles the reservation and counts the usage. Returns false, and changes nothing, when the message
    /// was settled before.
    pub async fn settle_send(&self, settled: SettledSend) -> Result<bool, StoreError> {
        self.batchers.settle(settled).await
    }
}

/// A stored message with the id, or with the idempotency key, of an item.
#[derive(sqlx::FromRow)]
struct PriorRow {
    id: String,
    agent_id: String,
    idempotency_key: String,
    status: String,
}

/// Returns the result per item: accepted when its id was returned, otherwise its prior request. `None` when the prior request
/// has freed its key meanwhile.
fn acceptances(items: &[Arc<AcceptedSend>], accepted: &[String], prior: &[PriorRow]) -> Vec<Option<Acceptance>> {
    let accepted: HashSet<&str> = accepted.iter().map(String::as_str).collect();
    let acceptance = |item: &Arc<AcceptedSend>| {
        if accepted.contains(item.id.as_str()) {
            return Some(Acceptance::Accepted);
        }
        if let Some(own) = prior.iter().find(|row| row.id == item.id.as_str()) {
            // A former try of this same write was committed. Once the reconciler has claimed the message, it must not be
            // sent any more.
            return Some(if own.status == Status::Sending.as_str() {
                Acceptance::Accepted
            } else {
                Acceptance::PriorRequest(item.id.clone())
            });
        }
        let same_key =
            |row: &&PriorRow| row.agent_id == item.agent.as_str() && row.idempotency_key == item.idempotency_key;
        let row = prior.iter().find(same_key)?;
        Some(Acceptance::PriorRequest(row.id.as_str().into()))
    };
    items.iter().map(acceptance).collect()
}

/// Fails when a message occurs twice: one statement cannot write two outcomes of one message. The error makes the batcher
/// repeat the items one by one, in order.
fn ensure_distinct<'a>(mut items: impl Iterator<Item = &'a SettledSend>) -> Result<(), StoreError> {
    let mut seen = HashSet::new();
    let distinct = items.all(|item| seen.insert(item.id.as_str()));
    if distinct { Ok(()) } else { Err(StoreError::Conflict) }
}
