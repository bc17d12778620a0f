//! Scheduled sends: messages that are sent later. The id of a scheduled send is the id of its message, so that a repeated send
//! finds the first one.

use butt_dial_domain::{AgentId, Channel, MessageId, OrgId, address::contact_key, clock::Timestamp};

use crate::{
    Store, StoreError,
    column::text_column,
    engine::{Sql, on_reader, on_writer},
};

/// The state of a scheduled send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ScheduledState {
    Scheduled,
    Sent,
    Failed,
    /// Not to be sent. It stays due until the agent has been notified.
    Cancelled,
}

text_column!(ScheduledState, "scheduled_sends", "state");

/// A scheduled send to store.
pub struct NewScheduledSend<'a> {
    pub id: &'a MessageId,
    pub org: &'a OrgId,
    pub agent: &'a AgentId,
    pub channel: Channel,
    pub recipient: &'a str,
    pub idempotency_key: &'a str,
    pub request_hash: &'a str,
    /// Encrypted.
    pub request: &'a [u8],
    pub due_at: Timestamp,
    /// Tries so far.
    pub tries: i64,
}

/// A stored scheduled send.
#[derive(Clone, sqlx::FromRow)]
pub struct ScheduledSend {
    id: String,
    org_id: String,
    agent_id: String,
    pub channel: String,
    pub recipient: String,
    pub idempotency_key: String,
    pub request_hash: String,
    /// Encrypted; `None` once it is closed.
    pub request: Option<Vec<u8>>,
    pub state: ScheduledState,
    pub failure: Option<String>,
    pub due_at: Timestamp,
    pub tries: i64,
    pub created_at: Timestamp,
    /// Sent automatically: the agent did not request it and gets no event about the result.
    pub is_quiet: bool,
}

impl ScheduledSend {
    /// Whether it is still to be sent.
    pub fn is_open(&self) -> bool {
        self.state == ScheduledState::Scheduled
    }

    pub fn id(&self) -> MessageId {
        MessageId::from(self.id.as_str())
    }

    pub fn org(&self) -> OrgId {
        OrgId::from(self.org_id.as_str())
    }

    pub fn agent(&self) -> AgentId {
        AgentId::from(self.agent_id.as_str())
    }
}

impl Store {
    /// Stores a send. Returns false, and stores nothing, when the id or the agent's idempotency key is in use.
    pub async fn schedule_send(&self, new: &NewScheduledSend<'_>, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "INSERT INTO scheduled_sends (id, org_id, agent_id, channel, recipient, idempotency_key,
                request_hash, request, state, due_at, tries, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'scheduled', $9, $10, $11) ON CONFLICT DO NOTHING";
        let done = on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(new.id.as_str())
                .bind(new.org.as_str())
                .bind(new.agent.as_str())
                .bind(new.channel.as_str())
                .bind(new.recipient)
                .bind(new.idempotency_key)
                .bind(new.request_hash)
                .bind(new.request)
                .bind(new.due_at)
                .bind(new.tries)
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Finds one of the agent's scheduled sends by its id or by its idempotency key.
    pub async fn find_scheduled(&self, agent: &AgentId, id_or_key: &str) -> Result<Option<ScheduledSend>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, request, state, failure,
                due_at, tries, created_at, is_quiet
            FROM scheduled_sends WHERE agent_id = $1 AND (id = $2 OR idempotency_key = $2) ORDER BY id = $2 DESC LIMIT 1";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id_or_key)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Lists the agent's open scheduled sends, the next due first.
    pub async fn list_scheduled(&self, agent: &AgentId, limit: u32) -> Result<Vec<ScheduledSend>, StoreError> {
        const SQL: &str =
            "SELECT id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, NULL AS request,
                state, failure, due_at, tries, created_at, is_quiet
            FROM scheduled_sends WHERE agent_id = $1 AND state = 'scheduled' ORDER BY due_at, id LIMIT $2";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }

    /// Claims due sends, including cancelled ones, until `until`. If this process dies, another one claims them after that.
    pub async fn claim_scheduled(
        &self,
        limit: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<ScheduledSend>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "WITH due AS MATERIALIZED (
                    SELECT id FROM scheduled_sends WHERE state IN ('scheduled', 'cancelled') AND due_at <= $1
                    ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
                ) UPDATE scheduled_sends AS s SET due_at = $3, tries = tries + 1 FROM due WHERE s.id = due.id
                RETURNING s.id, s.org_id, s.agent_id, s.channel, s.recipient, s.idempotency_key, s.request_hash,
                    s.request, s.state, s.failure, s.due_at, s.tries, s.created_at, s.is_quiet",
            sqlite: "UPDATE scheduled_sends SET due_at = $3, tries = tries + 1 WHERE id IN (
                    SELECT id FROM scheduled_sends WHERE state IN ('scheduled', 'cancelled') AND due_at <= $1
                    ORDER BY due_at LIMIT $2)
                RETURNING id, org_id, agent_id, channel, recipient, idempotency_key, request_hash, request, state,
                    failure, due_at, tries, created_at, is_quiet",
        };
        let sql = self.sql(SQL);
        Ok(on_writer!(self, |db| {
            sqlx::query_as(sql)
                .bind(now)
                .bind(i64::from(limit))
                .bind(until)
                .fetch_all(db)
                .await
        })?)
    }

    /// Closes a send as sent, or as failed when there is a `failure`, and deletes its request.
    pub async fn close_scheduled(&self, id: &MessageId, failure: Option<&str>) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE scheduled_sends SET state = CASE WHEN $2 IS NULL THEN 'sent' ELSE 'failed' END,
            failure = $2, request = NULL WHERE id = $1 AND state IN ('scheduled', 'cancelled')";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(failure)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Makes a send due again at `due_at`.
    pub async fn reschedule_send(&self, id: &MessageId, due_at: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE scheduled_sends SET due_at = $2 WHERE id = $1 AND state = 'scheduled'";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(due_at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }
}
