//! Stored messages, and the claim of messages with an open outcome for the reconciler.

use butt_dial_domain::{
    AgentId, Channel, MessageId, OrgId,
    clock::Timestamp,
    message::{Status, ThreadRef},
};

use sqlx::types::Json;

use crate::{
    Store, StoreError,
    engine::{Sql, on_reader, on_writer},
    sends::{Look, TraceStep, trace},
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
    task_id: Option<String>,
    attempts: i64,
    checks: i64,
    check_at: Option<Timestamp>,
    stage: Option<String>,
    stage_error: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// A stored message.
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
    /// The error code that the agent received, if the message failed.
    pub failure: Option<String>,
    pub failure_detail: Option<String>,
    pub segments: Option<i64>,
    /// Micro-units reserved.
    pub estimate: i64,
    /// Micro-units; `None` until it is settled.
    pub cost: Option<i64>,
    pub thread: ThreadRef,
    pub attempts: i64,
    /// Checks by the reconciler that the carrier answered.
    pub checks: i64,
    pub check_at: Option<Timestamp>,
    /// The delivery status that the carrier reported: `sent`, `delivered`, ...
    pub stage: Option<String>,
    /// The carrier's error code, if the delivery failed.
    pub stage_error: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A message with an open outcome, and the content that a repeated request to the carrier needs.
#[derive(Clone)]
pub struct Unsettled {
    pub message: Message,
    /// Encrypted.
    pub content: Option<Vec<u8>>,
}

/// An attempt to send a message.
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
        let corrupt = |column, value: &str| StoreError::Corrupt {
            table: "messages",
            column,
            row: row.id.clone(),
            value: value.to_owned(),
        };
        Ok(Self {
            channel: Channel::parse(&row.channel).ok_or_else(|| corrupt("channel", &row.channel))?,
            status: Status::parse(&row.status).ok_or_else(|| corrupt("status", &row.status))?,
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
                task_id: row.task_id,
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
    /// Finds a message by its id.
    pub async fn find_message(&self, id: &MessageId) -> Result<Option<Message>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, channel, sender, recipient, request_hash, body_hash, status, verdict, rule, carrier,
                carrier_id, carrier_status, failure, failure_detail, segments, estimate, cost, thread_id, entity_id,
                reply_msg_id, task_id, attempts, checks, check_at, stage, stage_error, created_at, updated_at
            FROM messages WHERE id = $1";
        let row: Option<MessageRow> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(id.as_str())
            .fetch_optional(db)
            .await)?;
        row.map(Message::try_from).transpose()
    }

    /// Finds one of the agent's messages by its id or by its carrier id.
    pub async fn find_agent_message(&self, agent: &AgentId, id: &str) -> Result<Option<Message>, StoreError> {
        // `|| ''` keeps Postgres from using the index on the agent, who may have a million messages.
        const SQL: &str = "SELECT id, org_id, agent_id, channel, sender, recipient, request_hash, body_hash, status, verdict, rule, carrier,
                carrier_id, carrier_status, failure, failure_detail, segments, estimate, cost, thread_id, entity_id,
                reply_msg_id, task_id, attempts, checks, check_at, stage, stage_error, created_at, updated_at
            FROM messages WHERE agent_id || '' = $1 AND (id = $2 OR carrier_id = $2) LIMIT 1";
        let row: Option<MessageRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id)
                .fetch_optional(db)
                .await
        })?;
        row.map(Message::try_from).transpose()
    }

    /// Finds a message by the agent's idempotency key.
    pub async fn find_message_by_key(&self, agent: &AgentId, key: &str) -> Result<Option<Message>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, channel, sender, recipient, request_hash, body_hash, status, verdict, rule, carrier,
                carrier_id, carrier_status, failure, failure_detail, segments, estimate, cost, thread_id, entity_id,
                reply_msg_id, task_id, attempts, checks, check_at, stage, stage_error, created_at, updated_at
            FROM messages WHERE agent_id = $1 AND idempotency_key = $2";
        let row: Option<MessageRow> = on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(key)
                .fetch_optional(db)
                .await
        })?;
        row.map(Message::try_from).transpose()
    }

    /// Finds the message of a carrier report: by `id` where the report contains it, else by the carrier id.
    pub async fn find_carrier_message(
        &self,
        carrier: &str,
        carrier_id: &str,
        id: Option<&MessageId>,
    ) -> Result<Option<Message>, StoreError> {
        const BY_ID: &str = "SELECT id, org_id, agent_id, channel, sender, recipient, request_hash, body_hash, status, verdict, rule, carrier,
                carrier_id, carrier_status, failure, failure_detail, segments, estimate, cost, thread_id, entity_id,
                reply_msg_id, task_id, attempts, checks, check_at, stage, stage_error, created_at, updated_at
            FROM messages WHERE id = $3 AND carrier = $1
            AND (carrier_id IS NULL OR carrier_id = $2)";
        const BY_CARRIER_ID: &str = "SELECT id, org_id, agent_id, channel, sender, recipient, request_hash, body_hash, status, verdict, rule, carrier,
                carrier_id, carrier_status, failure, failure_detail, segments, estimate, cost, thread_id, entity_id,
                reply_msg_id, task_id, attempts, checks, check_at, stage, stage_error, created_at, updated_at
            FROM messages WHERE carrier_id = $2 AND carrier = $1 AND $3 IS NULL LIMIT 1";
        let sql = if id.is_some() { BY_ID } else { BY_CARRIER_ID };
        let row: Option<MessageRow> = on_reader!(self, |db| {
            sqlx::query_as(sql)
                .bind(carrier)
                .bind(carrier_id)
                .bind(id.map(MessageId::as_str))
                .fetch_optional(db)
                .await
        })?;
        row.map(Message::try_from).transpose()
    }

    /// Gives back the idempotency keys of failed messages, so that they can be used again. `failures`: only these codes.
    pub async fn free_keys(&self, agent: &AgentId, keys: &[String], failures: &[&str]) -> Result<u64, StoreError> {
        const SQL: Sql = Sql {
            // Each is found by its own lookup: with a list of keys, the planner may read all messages of the agent.
            postgres: "UPDATE messages SET idempotency_key = idempotency_key || ' ' || id
                WHERE id = ANY (ARRAY(SELECT found.id FROM jsonb_array_elements_text($2) AS keys (value)
                    CROSS JOIN LATERAL (SELECT id FROM messages WHERE agent_id = $1 AND idempotency_key = value
                        LIMIT 1) AS found))
                    AND status = 'failed' AND failure = ANY (ARRAY(SELECT jsonb_array_elements_text($3)))",
            sqlite: "UPDATE messages SET idempotency_key = idempotency_key || ' ' || id
                WHERE agent_id = $1 AND idempotency_key IN (SELECT value FROM json_each($2))
                    AND status = 'failed' AND failure IN (SELECT value FROM json_each($3))",
        };
        let sql = self.sql(SQL);
        Ok(on_writer!(self, |db| {
            sqlx::query(sql)
                .bind(agent.as_str())
                .bind(Json(keys))
                .bind(Json(failures))
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?)
    }

    /// Lists the attempts of a message in order. That of a message from before migration 0062 has a row in `attempts`.
    pub async fn list_attempts(&self, message: &MessageId) -> Result<Vec<Attempt>, StoreError> {
        const SQL: &str =
            "SELECT attempts AS number, replica, created_at AS started_at, settled_at AS finished_at, outcome,
                failure_detail AS detail
            FROM messages WHERE id = $1 AND replica IS NOT NULL
            UNION ALL SELECT a.number, a.replica, a.started_at, coalesce(a.finished_at, m.settled_at),
                coalesce(a.outcome, m.outcome), coalesce(a.detail, m.failure_detail)
            FROM messages m JOIN attempts a ON a.message_id = m.id WHERE m.id = $1 AND m.replica IS NULL
            ORDER BY number";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(message.as_str())
            .fetch_all(db)
            .await)?)
    }

    /// Returns whether a stored message has this carrier id.
    pub async fn has_carrier_id(&self, carrier_id: &str) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM messages WHERE carrier_id = $1)";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(carrier_id)
            .fetch_one(db)
            .await)?)
    }

    /// Returns whether another message with the same body between the same addresses is being sent. Its outcome is not known
    /// yet, so what the carrier lists may be that message.
    pub async fn has_duplicate_in_flight(&self, message: &Message) -> Result<bool, StoreError> {
        const SQL: &str = "SELECT EXISTS (SELECT 1 FROM messages WHERE check_at IS NOT NULL AND status = 'sending'
            AND sender = $1 AND recipient = $2 AND body_hash = $3 AND id <> $4)";
        Ok(on_reader!(self, |db| {
            sqlx::query_scalar(SQL)
                .bind(&message.sender)
                .bind(&message.recipient)
                .bind(&message.body_hash)
                .bind(message.id.as_str())
                .fetch_one(db)
                .await
        })?)
    }

    /// Claims messages with a due check, until `lease_until`. If this process dies, another replica claims them after that.
    /// The sender of a message that is still `sending` is gone, so its status becomes `unknown`. Corrupt rows are logged and
    /// left out.
    pub async fn claim_unsettled(
        &self,
        limit: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Vec<Unsettled>, StoreError> {
        const SQL: Sql = Sql {
            // No `IN (SELECT ..)`: the planner may run the subquery again for every row and exceed the limit.
            // Agents take turns, so that the sends of one do not delay those of others.
            postgres: "WITH turns AS MATERIALIZED (
                    SELECT id FROM (SELECT id, check_at, ROW_NUMBER() OVER (PARTITION BY agent_id ORDER BY check_at) AS turn
                        FROM (SELECT id, agent_id, check_at FROM messages WHERE check_at <= $1
                            ORDER BY check_at LIMIT 5000) AS longest
                    ) AS numbered ORDER BY turn, check_at LIMIT $2
                ), due AS MATERIALIZED (
                    SELECT id FROM messages WHERE id = ANY (ARRAY(SELECT id FROM turns))
                        AND check_at + INTERVAL '0' <= $1 FOR UPDATE SKIP LOCKED
                ) UPDATE messages AS m SET check_at = $3, status = 'unknown', updated_at = $1
                FROM due WHERE m.id = due.id
                RETURNING m.id, m.org_id, m.agent_id, m.channel, m.sender, m.recipient, m.request_hash, m.body_hash, m.status,
                    m.verdict, m.rule, m.carrier, m.carrier_id, m.carrier_status, m.failure, m.failure_detail,
                    m.segments, m.estimate, m.cost, m.thread_id, m.entity_id, m.reply_msg_id, m.task_id, m.attempts, m.checks,
                    m.check_at, m.stage, m.stage_error, m.created_at, m.updated_at, m.content",
            sqlite: "UPDATE messages SET check_at = $3, status = 'unknown', updated_at = $1
                WHERE id IN (
                    SELECT id FROM (SELECT id, check_at, ROW_NUMBER() OVER (PARTITION BY agent_id ORDER BY check_at) AS turn
                        FROM (SELECT id, agent_id, check_at FROM messages WHERE check_at <= $1
                            ORDER BY check_at LIMIT 5000))
                    ORDER BY turn, check_at LIMIT $2)
                RETURNING id, org_id, agent_id, channel, sender, recipient, request_hash, body_hash, status, verdict, rule,
                    carrier, carrier_id, carrier_status, failure, failure_detail, segments, estimate, cost, thread_id,
                    entity_id, reply_msg_id, task_id, attempts, checks, check_at, stage, stage_error, created_at, updated_at, content",
        };
        let sql = self.sql(SQL);
        let rows: Vec<UnsettledRow> = on_writer!(self, |db| {
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
            // It must not block the others. It is claimed again after every lease until the row is repaired.
            Err(error) => {
                tracing::error!(%error, "message row corrupt; not reconciled");
                None
            }
        };
        Ok(rows.into_iter().filter_map(readable).collect())
    }

    /// Sets the time of the next check, and adds the look that has found nothing to the trace; changes nothing when the message is
    /// settled. `is_counted`: the carrier answered, so this check counts towards the maximum.
    pub async fn schedule_check(
        &self,
        message: &MessageId,
        at: Timestamp,
        is_counted: bool,
        look: Look,
    ) -> Result<(), StoreError> {
        // A carrier that does not answer is asked for a day: the trace has the first looks.
        const SQL: &str = "UPDATE messages SET check_at = $2, checks = checks + $3,
                trace = CASE WHEN length(coalesce(trace, '')) < 1000 THEN coalesce(trace || ' ', '') || $4 ELSE trace END
            WHERE id = $1 AND check_at IS NOT NULL";
        let look = TraceStep::Looked(look).to_string();
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(message.as_str())
                .bind(at)
                .bind(i64::from(is_counted))
                .bind(&look)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Finds what a message has gone through. Empty: no outcome yet, or of a former release.
    pub async fn find_trace(&self, message: &MessageId) -> Result<Vec<TraceStep>, StoreError> {
        const SQL: &str = "SELECT trace FROM messages WHERE id = $1";
        let found: Option<Option<String>> = on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(message.as_str())
            .fetch_optional(db)
            .await)?;
        Ok(found.flatten().as_deref().map(trace::parse).unwrap_or_default())
    }
}
