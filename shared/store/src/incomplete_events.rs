//! Events that are not complete: a body or attachments are still to be fetched. They go out when nothing is missing any more.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};
use serde_json::Value;
use sqlx::types::Json;

use crate::{Store, StoreError, engine::writing};

/// What came may be delivered.
pub(crate) const DUE: &str = "UPDATE deliveries SET generation = generation + 1,
    due_at = CASE WHEN failures > 0 THEN coalesce(due_at, $2) ELSE $2 END WHERE agent_id = $1";

/// An event that something is still to be fetched for.
#[derive(Clone, sqlx::FromRow)]
pub struct IncompleteEvent {
    #[sqlx(rename = "agent_id")]
    agent: String,
    #[sqlx(rename = "org_id")]
    org: String,
    pub seq: i64,
    pub id: String,
    #[sqlx(json)]
    pub data: Value,
    pub content: Option<Vec<u8>>,
    pub created_at: Timestamp,
}

impl IncompleteEvent {
    pub fn agent(&self) -> AgentId {
        AgentId::from(self.agent.as_str())
    }

    pub fn org(&self) -> OrgId {
        OrgId::from(self.org.as_str())
    }
}

impl Store {
    /// Takes events that something is to be fetched for, and puts the next look off to `until`.
    pub async fn claim_incomplete_events(
        &self,
        limit: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<IncompleteEvent>, StoreError> {
        const POSTGRES: &str = "WITH due AS MATERIALIZED (
                SELECT id FROM events WHERE ready_at <= $1 ORDER BY ready_at LIMIT $2 FOR UPDATE SKIP LOCKED
            ) UPDATE events SET ready_at = $3 FROM due, agents WHERE events.id = due.id AND agents.id = events.agent_id
            RETURNING events.agent_id, agents.org_id, events.seq, events.id, data, content, events.created_at";
        const SQLITE: &str = "UPDATE events SET ready_at = $3
            WHERE id IN (SELECT id FROM events WHERE ready_at <= $1 ORDER BY ready_at LIMIT $2)
            RETURNING agent_id, (SELECT org_id FROM agents WHERE agents.id = events.agent_id) AS org_id, seq, id, data,
                content, created_at";
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

    /// Nothing is missing any more: the event goes out with this content. False when it was complete already.
    pub async fn complete_event(
        &self,
        agent: &AgentId,
        seq: i64,
        content: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE events SET content = coalesce($3, content), ready_at = NULL
            WHERE agent_id = $1 AND seq = $2 AND ready_at IS NOT NULL";
        Ok(writing!(self, |db| {
            let mut tx = db.begin().await?;
            let done = sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(seq)
                .bind(content)
                .execute(&mut *tx)
                .await?;
            let completed = done.rows_affected() > 0;
            if completed {
                sqlx::query(DUE)
                    .bind(agent.as_str())
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            Ok::<_, sqlx::Error>(completed)
        })?)
    }

    /// Keeps what has been fetched of it so far (`None`: nothing new) until the next look at `again`. False when it was
    /// complete already.
    pub async fn reschedule_incomplete_event(
        &self,
        agent: &AgentId,
        seq: i64,
        content: Option<&[u8]>,
        again: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE events SET content = coalesce($3, content), ready_at = $4
            WHERE agent_id = $1 AND seq = $2 AND ready_at IS NOT NULL";
        let done = writing!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(seq)
                .bind(content)
                .bind(again)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Says about an event that is not complete what is to be seen of it once it goes out. False when it was complete already.
    pub async fn update_incomplete_event(&self, agent: &AgentId, seq: i64, data: &Value) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE events SET data = $3 WHERE agent_id = $1 AND seq = $2 AND ready_at IS NOT NULL";
        let done = writing!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(seq)
                .bind(Json(data))
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}
