//! The two writes of every send: `accept_send` before the request to the carrier, `settle_send` after its outcome is known.
//! Each is one round trip on Postgres, shared by concurrent sends (group commit).

pub(crate) mod batchers;
mod postgres;
mod rows;
pub(crate) mod sqlite;
mod told;
pub(crate) mod trace;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use crate::{Store, StoreError};
use butt_dial_domain::{
    AgentId, Channel, MessageId, OrgId, SendPurpose, TokenBudget,
    clock::Timestamp,
    limits::Limits,
    message::{Status, ThreadRef},
};

pub(crate) use rows::time_text;
pub use trace::{Found, Look, STAGES, StageTimes, TraceStep};

/// A message that passed every check, with everything that is stored before it is sent.
#[derive(Clone, bon::Builder)]
pub struct AcceptedSend {
    pub id: MessageId,
    pub org: OrgId,
    pub agent: AgentId,
    pub channel: Channel,
    pub sender: String,
    pub recipient: String,
    /// The key of the person who must not have opted out (`contact_key`). `None`: the recipient is a colleague.
    pub contact: Option<String>,
    /// A message of the person who has taken the conversation over, or an automatic reply: it is accepted during a takeover.
    #[builder(default)]
    pub is_answer: bool,
    pub idempotency_key: String,
    /// Hex of a hash over the fields that identify a repeated request.
    pub request_hash: String,
    /// Hex of a keyed hash of the body.
    pub body_hash: String,
    /// Encrypted.
    pub content: Vec<u8>,
    /// A copy of the content stays when the message is settled.
    #[builder(default)]
    pub is_kept: bool,
    /// The fallback to send if the carrier accepts the message and reports a failure later. Encrypted.
    pub fallback: Option<Vec<u8>>,
    pub verdict: &'static str,
    pub rule: Option<String>,
    #[builder(default)]
    pub purpose: SendPurpose,
    /// JSON: the decision of compliance with its facts, without an address.
    pub ruling: Option<String>,
    pub carrier: &'static str,
    /// Micro-units to reserve.
    pub estimate: i64,
    pub agent_limits: Limits,
    pub org_limits: Limits,
    /// The budget of the restricted token that sends.
    pub budget: Option<TokenBudget>,
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
    /// The recipient has opted out. No row is stored.
    OptedOut,
    /// A person answers the recipient in place of the agent. No row is stored.
    TakenOver,
}

/// The result of one write of an accept, before it is repeated where necessary.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Decision {
    Accepted,
    Prior(MessageId),
    OptedOut,
    TakenOver,
    OverBudget,
    /// To be repeated: the key was in use and is free again, or the budget is short of all sends of the batch together.
    Undecided,
}

/// Why an item was left out of its batch, as the statements name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
enum Omission {
    OptedOut,
    TakenOver,
    /// The item alone exceeds a budget.
    OverBudget,
    /// The item exceeds a budget together with the items before it.
    Crowded,
}

/// The outcome of an attempt.
#[derive(Clone, Debug)]
pub struct SettledSend {
    pub id: MessageId,
    pub result: SendResult,
    pub outcome: AttemptOutcome,
    /// The carrier's code or the reason of ambiguity; never a body or an address.
    pub detail: Option<String>,
    /// The key of a person: the message says that an AI assistant writes. Stored if the message is accepted.
    pub disclosed_to: Option<String>,
    /// Added to the trace of the message.
    pub trace: Option<TraceStep>,
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
    Accepted(Decision),
    Settled(bool),
}

impl Store {
    /// Stores the message, its idempotency key, its first attempt and its reservation, or none of them.
    /// Safe to repeat with the same id after an error that leaves the commit uncertain.
    /// Fails with `OverBudget` when the reservation exceeds a budget.
    pub async fn accept_send(&self, send: impl Into<Arc<AcceptedSend>>) -> Result<Acceptance, StoreError> {
        let send = send.into();
        loop {
            match self.batchers.accept(send.clone()).await? {
                Decision::Accepted => return Ok(Acceptance::Accepted),
                Decision::Prior(id) => return Ok(Acceptance::PriorRequest(id)),
                Decision::OptedOut => return Ok(Acceptance::OptedOut),
                Decision::TakenOver => return Ok(Acceptance::TakenOver),
                Decision::OverBudget => return Err(StoreError::OverBudget),
                Decision::Undecided => {}
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

/// Splits the rows that an accept returned into accepted ids, and omitted ones with the reason.
fn split(decided: &[(String, Option<String>)]) -> (HashSet<&str>, HashMap<&str, Omission>) {
    let (mut accepted, mut omitted) = (HashSet::new(), HashMap::new());
    for (id, reason) in decided {
        match reason.as_deref().and_then(|reason| reason.parse().ok()) {
            Some(omission) => drop(omitted.insert(id.as_str(), omission)),
            None => drop(accepted.insert(id.as_str())),
        }
    }
    (accepted, omitted)
}

/// Returns the decision per item: accepted when its id was returned, otherwise its prior request, otherwise why it was left out.
fn decisions(
    items: &[Arc<AcceptedSend>],
    accepted: &HashSet<&str>,
    omitted: &HashMap<&str, Omission>,
    prior: &[PriorRow],
) -> Vec<Decision> {
    let decision = |item: &Arc<AcceptedSend>| {
        if accepted.contains(item.id.as_str()) {
            return Decision::Accepted;
        }
        if let Some(own) = prior.iter().find(|row| row.id == item.id.as_str()) {
            // A former try of this same write was committed. Once the reconciler has claimed the message, it must not be
            // sent any more.
            return if own.status == Status::Sending.as_str() {
                Decision::Accepted
            } else {
                Decision::Prior(item.id.clone())
            };
        }
        let same_key =
            |row: &&PriorRow| row.agent_id == item.agent.as_str() && row.idempotency_key == item.idempotency_key;
        if let Some(row) = prior.iter().find(same_key) {
            return Decision::Prior(row.id.as_str().into());
        }
        match omitted.get(item.id.as_str()) {
            Some(Omission::OptedOut) => Decision::OptedOut,
            Some(Omission::TakenOver) => Decision::TakenOver,
            Some(Omission::OverBudget) => Decision::OverBudget,
            Some(Omission::Crowded) | None => Decision::Undecided,
        }
    };
    items.iter().map(decision).collect()
}

/// Fails when a message occurs twice: one statement would reserve for it twice, and cannot write two outcomes of it. The error makes
/// the batcher repeat the items one by one, in order.
fn ensure_distinct<'a>(mut ids: impl Iterator<Item = &'a MessageId>) -> Result<(), StoreError> {
    let mut seen = HashSet::new();
    let distinct = ids.all(|id| seen.insert(id.as_str()));
    if distinct { Ok(()) } else { Err(StoreError::Conflict) }
}
