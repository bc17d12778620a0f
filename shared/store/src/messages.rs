//! Messages as they were written down, and the ones whose fate is still open.

use butt_dial_domain::{
    AgentId, Channel, MessageId, OrgId,
    clock::Timestamp,
    message::{Status, ThreadRef},
};

use crate::{
    Store, StoreError,
    engine::{reading, writing},
};

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct MessageRow {
    id: String,
    org_id: String,
    agent_id: String,
    channel: String,
    sender: String,
    recipient: String,
    request_hash: String,
    body_hash: String,
    status: String,
    verdict: String,
    rule: Option<String>,
    carrier: String,
    carrier_id: Option<String>,
    carrier_status: Option<String>,
    failure: Option<String>,
    failure_detail: Option<String>,
    segments: Option<i64>,
    estimate: i64,
    cost: Option<i64>,
    thread_id: Option<String>,
    entity_id: Option<String>,
    reply_msg_id: Option<String>,
    attempts: i64,
    checks: i64,
    check_at: Option<Timestamp>,
    stage: Option<String>,
    stage_error: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub id: MessageId,
    pub org: OrgId,
    pub agent: AgentId,
    pub channel: Channel,
    pub sender: String,
    pub recipient: String,
    pub request_hash: String,
    pub body_hash: String,
    pub status: Status,
    pub verdict: String,
    pub rule: Option<String>,
    pub carrier: String,
    pub carrier_id: Option<String>,
    pub carrier_status: Option<String>,
    /// The code that the agent was answered with, where it failed.
    pub failure: Option<String>,
    pub failure_detail: Option<String>,
    pub segments: Option<i64>,
    /// Micro-units: reserved, and what it came to.
    pub estimate: i64,
    pub cost: Option<i64>,
    pub thread: ThreadRef,
    pub attempts: i64,
    /// How often the reconciler has looked.
    pub checks: i64,
    pub check_at: Option<Timestamp>,
    /// Where the carrier says that it is: `sent`, `delivered`, ...
    pub stage: Option<String>,
    /// The carrier's code, where it failed on its way.
    pub stage_error: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// An unsettled message with what finding out about it needs.
#[derive(Clone)]
pub struct Unsettled {
    pub message: Message,
    /// Encrypted.
    pub content: Option<Vec<u8>>,
}

/// One try to send, as `attempts` keeps it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Attempt {
    pub number: i64,
    pub replica: String,
    pub started_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub outcome: Option<String>,
    pub detail: Option<String>,
}

impl TryFrom<MessageRow> for Message {
    type Error = StoreError;

    fn try_from(row: MessageRow) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt {
            table: "messages",
            column,
            row: row.id.clone(),
        };
        Ok(Self {
            channel: Channel::parse(&row.channel).ok_or_else(|| corrupt("channel"))?,
            status: Status::parse(&row.status).ok_or_else(|| corrupt("status"))?,
            id: row.id.into(),
            org: row.org_id.into(),
            agent: row.agent_id.into(),
            sender: row.sender,
            recipient: row.recipient,
            request_hash: row.request_hash,
            body_hash: row.body_hash,
            verdict: row.verdict,
            rule: row.rule,
            carrier: row.carrier,
            carrier_id: row.carrier_id,
            carrier_status: row.carrier_status,
            failure: row.failure,
            failure_detail: row.failure_detail,
            segments: row.segments,
            estimate: row.estimate,
            cost: row.cost,
            thread: ThreadRef {
                thread_id: row.thread_id,
                entity_id: row.entity_id,
                reply_msg_id: row.reply_msg_id,
            },
            attempts: row.attempts,
            checks: row.checks,
            check_at: row.check_at,
            stage: row.stage,
            stage_error: row.stage_error,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

#[derive(sqlx::FromRow)]
struct UnsettledRow {
    #[sqlx(flatten)]
    message: MessageRow,
    content: Option<Vec<u8>>,
}

impl Store {
    pub async fn find_message(&self, id: &MessageId) -> Result<Option<Message>, StoreError> {
        const SQL: &str = "SELECT * FROM messages WHERE id = $1";
        let row: Option<MessageRow> = reading!(self, |db| sqlx::query_as(SQL)
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?;
        row.map(Message::try_from).transpose()
    }

    /// One of the agent's messages, by our id or by the carrier's.
    pub async fn find_agent_message(&self, agent: &AgentId, id: &str) -> Result<Option<Message>, StoreError> {
        // The `|| ''` keeps Postgres from going by the agent, who may have sent a million of them.
        const SQL: &str = "SELECT * FROM messages WHERE agent_id || '' = $1 AND (id = $2 OR carrier_id = $2) LIMIT 1";
        let row: Option<MessageRow> = reading!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id)
                .fetch_optional(db)
                .await
        })?;
        row.map(Message::try_from).transpose()
    }

    pub async fn find_message_by_key(&self, agent: &AgentId, key: &str) -> Result<Option<Message>, StoreError> {
        const SQL: &str = "SELECT * FROM messages WHERE agent_id = $1 AND idempotency_key = $2";
        let row: Option<MessageRow> = reading!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(key)
                .fetch_optional(db)
                .await
        })?;
        row.map(Message::try_from).transpose()
    }

    /// The message that a carrier speaks of: by our id where it gave that back, else by its own.
    pub async fn find_carrier_message(
        &self,
        carrier: &str,
        carrier_id: &str,
        id: Option<&MessageId>,
    ) -> Result<Option<Message>, StoreError> {
        const BY_ID: &str = "SELECT * FROM messages WHERE id = $3 AND carrier = $1
            AND (carrier_id IS NULL OR carrier_id = $2)";
        const BY_CARRIER_ID: &str =
            "SELECT * FROM messages WHERE carrier_id = $2 AND carrier = $1 AND $3 IS NULL LIMIT 1";
        let sql = if id.is_some() { BY_ID } else { BY_CARRIER_ID };
        let row: Option<MessageRow> = reading!(self, |db| {
            sqlx::query_as(sql)
                .bind(carrier)
                .bind(carrier_id)
                .bind(id.map(MessageId::as_str))
                .fetch_optional(db)
                .await
        })?;
        row.map(Message::try_from).transpose()
    }

    pub async fn list_attempts(&self, message: &MessageId) -> Result<Vec<Attempt>, StoreError> {
        const SQL: &str = "SELECT number, replica, started_at, finished_at, outcome, detail FROM attempts
            WHERE message_id = $1 ORDER BY number";
        Ok(reading!(self, |db| sqlx::query_as(SQL)
            .bind(message.as_str())
            .fetch_all(db)
            .await)?)
    }

    /// Whether one of our messages carries this carrier's id already.
    pub async fn has_carrier_id(&self, carrier_id: &str) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM messages WHERE carrier_id = $1)";
        Ok(reading!(self, |db| sqlx::query_scalar(SQL)
            .bind(carrier_id)
            .fetch_one(db)
            .await)?)
    }

    /// Whether the same text is on its way from and to the same addresses right now, as another message.
    pub async fn has_duplicate_in_flight(&self, message: &Message) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM messages WHERE check_at IS NOT NULL AND status = 'sending'
            AND sender = $1 AND recipient = $2 AND body_hash = $3 AND id <> $4)";
        Ok(reading!(self, |db| {
            sqlx::query_scalar(SQL)
                .bind(&message.sender)
                .bind(&message.recipient)
                .bind(&message.body_hash)
                .bind(message.id.as_str())
                .fetch_one(db)
                .await
        })?)
    }

    /// Takes messages whose look is due, and puts their next look off to `lease_until`: if we die meanwhile, another replica
    /// looks then. A message that was still `sending` has lost its sender, and becomes `unknown`. UnreadableRequest ones are logged
    /// and left out.
    pub async fn claim_unsettled(
        &self,
        limit: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<Unsettled>, StoreError> {
        // Not `IN (SELECT ..)`: the planner may run that again for every row, and then more than `limit` are taken.
        const POSTGRES: &str = "WITH due AS MATERIALIZED (
                SELECT id FROM messages WHERE check_at <= $1 ORDER BY check_at LIMIT $2 FOR UPDATE SKIP LOCKED
            ) UPDATE messages SET check_at = $3, status = 'unknown', updated_at = $1 FROM due WHERE messages.id = due.id
            RETURNING messages.*";
        const SQLITE: &str = "UPDATE messages SET check_at = $3, status = 'unknown', updated_at = $1
            WHERE id IN (SELECT id FROM messages WHERE check_at <= $1 ORDER BY check_at LIMIT $2)
            RETURNING *";
        let sql = self.either(POSTGRES, SQLITE);
        let rows: Vec<UnsettledRow> = writing!(self, |db| {
            sqlx::query_as(sql)
                .bind(now)
                .bind(i64::from(limit))
                .bind(lease_until)
                .fetch_all(db)
                .await
        })?;
        let readable = |row: UnsettledRow| match Message::try_from(row.message) {
            Ok(message) => Some(Unsettled {
                message,
                content: row.content,
            }),
            // The others must not wait for it. It comes again after every lease, until somebody mends it.
            Err(error) => {
                tracing::error!(%error, "a message can't be reconciled");
                None
            }
        };
        Ok(rows.into_iter().filter_map(readable).collect())
    }

    /// Sets when the reconciler looks again; nothing happens to a message that has been settled meanwhile.
    /// `counts`: the carrier has answered, so this look was one of those that are allowed.
    pub async fn schedule_check(&self, message: &MessageId, at: Timestamp, counts: bool) -> Result<(), StoreError> {
        const SQL: &str =
            "UPDATE messages SET check_at = $2, checks = checks + $3 WHERE id = $1 AND check_at IS NOT NULL";
        writing!(self, |db| {
            sqlx::query(SQL)
                .bind(message.as_str())
                .bind(at)
                .bind(i64::from(counts))
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }
}
