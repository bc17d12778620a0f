//! The two writes of every send: `accept_send` before the request to the carrier leaves, `settle_send` after its outcome is
//! known. Each is one round trip on Postgres, shared by all callers of the same moment.

mod postgres;
mod rows;
mod sqlite;

use std::{collections::HashSet, sync::Arc};

use butt_dial_domain::{
    AgentId, Channel, MessageId, OrgId,
    clock::Timestamp,
    limits::Limits,
    message::{Status, ThreadRef},
};
use tokio_util::task::TaskTracker;

use crate::{
    Store, StoreError,
    contacts::{self, ContactQuestion, ContactState},
    engine::Engine,
    group_commit::Batcher,
};

pub(crate) use rows::time_text;
pub(crate) use sqlite::SCRATCH;

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
    /// What is to be sent if the carrier takes it and fails it later. Encrypted.
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
    /// When the sender must have settled it; afterwards the reconciler asks the carrier.
    pub check_at: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// Written down; it may be sent, by this caller only.
    Accepted,
    /// This idempotency key names this message already, or this very message has been settled meanwhile.
    PriorRequest(MessageId),
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
    pub fn status(&self) -> Status {
        match self {
            Self::Accepted { .. } => Status::Accepted,
            Self::Failed { .. } => Status::Failed,
            Self::Unknown { .. } => Status::Unknown,
            Self::Unconfirmed => Status::Unconfirmed,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Batchers {
    pub(crate) contact: Batcher<ContactQuestion, ContactState>,
    writes: Writes,
}

#[derive(Clone)]
enum Writes {
    /// Postgres writes both at the same time.
    Apart {
        accept: Batcher<Arc<AcceptedSend>, Option<Acceptance>>,
        settle: Batcher<SettledSend, bool>,
    },
    /// SQLite has one writer: both share its transactions.
    Together(Batcher<Write, Written>),
}

#[derive(Clone)]
enum Write {
    Accept(Arc<AcceptedSend>),
    Settle(SettledSend),
}

enum Written {
    Accepted(Option<Acceptance>),
    Settled(bool),
}

impl Batchers {
    pub fn start(engine: &Engine, tasks: &TaskTracker) -> Self {
        match engine {
            Engine::Postgres(pool) => {
                let (a, b, c) = (pool.clone(), pool.clone(), pool.clone());
                Self {
                    contact: Batcher::start(tasks, move |asked| contacts::answer_in_postgres(a.clone(), asked)),
                    writes: Writes::Apart {
                        accept: Batcher::start(tasks, move |items| postgres::accept(b.clone(), items)),
                        settle: Batcher::start(tasks, move |items| postgres::settle(c.clone(), items)),
                    },
                }
            }
            Engine::Sqlite { read, write } => {
                let (read, write) = (read.clone(), write.clone());
                Self {
                    contact: Batcher::start(tasks, move |asked| contacts::answer_in_sqlite(read.clone(), asked)),
                    writes: Writes::Together(Batcher::start(tasks, move |items| sqlite::write(write.clone(), items))),
                }
            }
        }
    }

    async fn accept(&self, send: Arc<AcceptedSend>) -> Result<Option<Acceptance>, StoreError> {
        match &self.writes {
            Writes::Apart { accept, .. } => accept.submit(send).await,
            Writes::Together(group) => match group.submit(Write::Accept(send)).await? {
                Written::Accepted(acceptance) => Ok(acceptance),
                Written::Settled(_) => Err(mixed_up()),
            },
        }
    }

    async fn settle(&self, settled: SettledSend) -> Result<bool, StoreError> {
        match &self.writes {
            Writes::Apart { settle, .. } => settle.submit(settled).await,
            Writes::Together(group) => match group.submit(Write::Settle(settled)).await? {
                Written::Settled(is_settled) => Ok(is_settled),
                Written::Accepted(_) => Err(mixed_up()),
            },
        }
    }
}

fn mixed_up() -> StoreError {
    StoreError::Shared("the answer is to another question".into())
}

impl Store {
    /// Writes the message, its idempotency key, its first attempt and its reservation, or nothing of them.
    /// Safe to repeat with the same id after an error that left it open whether the write happened.
    /// `OverBudget` when the reservation does not fit.
    pub async fn accept_send(&self, send: impl Into<Arc<AcceptedSend>>) -> Result<Acceptance, StoreError> {
        let send = send.into();
        // Without an answer, the key was taken a moment ago and is free by now.
        loop {
            if let Some(acceptance) = self.groups.accept(send.clone()).await? {
                return Ok(acceptance);
            }
        }
    }

    /// Writes the outcome, settles the money and counts the usage. False when the message was settled before: then nothing changes.
    pub async fn settle_send(&self, settled: SettledSend) -> Result<bool, StoreError> {
        self.groups.settle(settled).await
    }
}

/// A row that stands in the way of an item: by its key, or because it is the item's own.
#[derive(sqlx::FromRow)]
struct PriorRow {
    id: String,
    agent_id: String,
    idempotency_key: String,
    status: String,
}

/// What became of the items: taken if their ids came back; otherwise a row stood in the way. `None` if it does no longer.
fn answers(items: &[Arc<AcceptedSend>], accepted: &[String], earlier: &[PriorRow]) -> Vec<Option<Acceptance>> {
    let accepted: HashSet<&str> = accepted.iter().map(String::as_str).collect();
    let answer = |item: &Arc<AcceptedSend>| {
        if accepted.contains(item.id.as_str()) {
            return Some(Acceptance::Accepted);
        }
        if let Some(own) = earlier.iter().find(|row| row.id == item.id.as_str()) {
            // An earlier try of this very write had been committed after all. Once the reconciler has taken the message
            // over, it is too late to send it.
            return Some(if own.status == Status::Sending.as_str() {
                Acceptance::Accepted
            } else {
                Acceptance::PriorRequest(item.id.clone())
            });
        }
        let same_key =
            |row: &&PriorRow| row.agent_id == item.agent.as_str() && row.idempotency_key == item.idempotency_key;
        let row = earlier.iter().find(same_key)?;
        Some(Acceptance::PriorRequest(row.id.as_str().into()))
    };
    items.iter().map(answer).collect()
}

/// One statement can't write two outcomes of one message: with an error, the group goes one by one, in its order.
fn each_once<'a>(mut items: impl Iterator<Item = &'a SettledSend>) -> Result<(), StoreError> {
    let mut seen = HashSet::new();
    let distinct = items.all(|item| seen.insert(item.id.as_str()));
    if distinct { Ok(()) } else { Err(StoreError::Conflict) }
}
