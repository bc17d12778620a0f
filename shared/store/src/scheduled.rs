//! Messages that leave later. Each has the id that the message itself will have, so that a second try finds the first.

use butt_dial_domain::{AgentId, Channel, MessageId, OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    engine::{reading, writing},
};

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
    /// How often it was tried before.
    pub tries: i64,
}

#[derive(Clone, sqlx::FromRow)]
pub struct ScheduledSend {
    id: String,
    org_id: String,
    agent_id: String,
    pub channel: String,
    pub recipient: String,
    pub idempotency_key: String,
    pub request_hash: String,
    pub request: Option<Vec<u8>>,
    /// `scheduled`, `sent`, `failed` or `cancelled`.
    pub state: String,
    pub failure: Option<String>,
    pub due_at: Timestamp,
    pub tries: i64,
    pub created_at: Timestamp,
    /// The agent has not asked for it, and is not told what becomes of it.
    pub is_quiet: bool,
}

impl ScheduledSend {
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
    /// False when the agent's key has named one before; nothing is written then.
    pub async fn schedule_send(&self, new: &NewScheduledSend<'_>, now: Timestamp) -> Result<bool, StoreError> {
        const SQL: &str = "INSERT INTO scheduled_sends (id, org_id, agent_id, channel, recipient, idempotency_key,
                request_hash, request, state, due_at, tries, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'scheduled', $9, $10, $11) ON CONFLICT DO NOTHING";
        let done = writing!(self, |db| {
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

    /// One of the agent's, by its id or by its idempotency key.
    pub async fn find_scheduled(&self, agent: &AgentId, id_or_key: &str) -> Result<Option<ScheduledSend>, StoreError> {
        const SQL: &str = "SELECT * FROM scheduled_sends WHERE agent_id = $1 AND (id = $2 OR idempotency_key = $2)
            ORDER BY id = $2 DESC LIMIT 1";
        Ok(reading!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id_or_key)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Takes what is due, cancelled ones too, and puts it off to `until`: if we die meanwhile, somebody else sends it then.
    pub async fn claim_scheduled(
        &self,
        limit: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<ScheduledSend>, StoreError> {
        const POSTGRES: &str = "WITH due AS MATERIALIZED (
                SELECT id FROM scheduled_sends WHERE state IN ('scheduled', 'cancelled') AND due_at <= $1 ORDER BY due_at LIMIT $2
                FOR UPDATE SKIP LOCKED
            ) UPDATE scheduled_sends SET due_at = $3, tries = tries + 1 FROM due WHERE scheduled_sends.id = due.id
            RETURNING scheduled_sends.*";
        const SQLITE: &str = "UPDATE scheduled_sends SET due_at = $3, tries = tries + 1 WHERE id IN (
                SELECT id FROM scheduled_sends WHERE state IN ('scheduled', 'cancelled') AND due_at <= $1 ORDER BY due_at LIMIT $2)
            RETURNING *";
        let sql = self.either(POSTGRES, SQLITE);
        Ok(writing!(self, |db| {
            sqlx::query_as(sql)
                .bind(now)
                .bind(i64::from(limit))
                .bind(until)
                .fetch_all(db)
                .await
        })?)
    }

    /// It has left (`failure` is `None`) or never will.
    pub async fn close_scheduled(&self, id: &MessageId, failure: Option<&str>) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE scheduled_sends SET state = CASE WHEN $2 IS NULL THEN 'sent' ELSE 'failed' END,
            failure = $2, request = NULL WHERE id = $1 AND state IN ('scheduled', 'cancelled')";
        writing!(self, |db| {
            sqlx::query(SQL)
                .bind(id.as_str())
                .bind(failure)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Tries again later.
    pub async fn reschedule_send(&self, id: &MessageId, due_at: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE scheduled_sends SET due_at = $2 WHERE id = $1 AND state = 'scheduled'";
        writing!(self, |db| {
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
