//! Incomplete events: events with a body or attachments still to be fetched. They are delivered once they are complete.
//! Also the claim of events with a pending fetch, which `deferred_bodies.rs` shares.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};
use serde_json::Value;
use sqlx::{FromRow, postgres::PgRow, sqlite::SqliteRow, types::Json};

use crate::{
    Store, StoreError,
    engine::{Sql, on_writer},
};

/// Makes the delivery of an agent due, unless its callback fails and has a retry time.
pub(crate) const MAKE_DUE: &str = "UPDATE deliveries SET generation = generation + 1,
    due_at = CASE WHEN failures > 0 THEN coalesce(due_at, $2) ELSE $2 END WHERE agent_id = $1";

/// An event with a body or attachments still to be fetched.
#[derive(Clone, FromRow)]
pub struct IncompleteEvent {
    #[sqlx(rename = "agent_id")]
    agent: String,
    #[sqlx(rename = "org_id")]
    org: String,
    pub seq: i64,
    pub id: String,
    #[sqlx(json)]
    pub data: Value,
    /// Encrypted: the parts that were fetched.
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
    /// Claims incomplete events that are due, until `until`.
    pub async fn claim_incomplete_events(
        &self,
        limit: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<IncompleteEvent>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "WITH due AS MATERIALIZED (
                    SELECT id FROM events WHERE ready_at <= $1 ORDER BY ready_at LIMIT $2 FOR UPDATE SKIP LOCKED
                ) UPDATE events SET ready_at = $3 FROM due, agents
                WHERE events.id = due.id AND agents.id = events.agent_id
                RETURNING events.agent_id, agents.org_id, events.seq, events.id, data, content, events.created_at",
            sqlite: "UPDATE events SET ready_at = $3
                WHERE id IN (SELECT id FROM events WHERE ready_at <= $1 ORDER BY ready_at LIMIT $2)
                RETURNING agent_id, (SELECT org_id FROM agents WHERE agents.id = events.agent_id) AS org_id, seq, id,
                    data, content, created_at",
        };
        self.claim_fetches(SQL, limit, now, until).await
    }

    /// Claims events with a pending fetch. The parameters of `sql`: the time, the maximum number of rows, the end of the claim.
    pub(crate) async fn claim_fetches<T>(
        &self,
        sql: Sql,
        limit: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let sql = self.sql(sql);
        Ok(on_writer!(self, |db| {
            sqlx::query_as(sql)
                .bind(now)
                .bind(i64::from(limit))
                .bind(until)
                .fetch_all(db)
                .await
        })?)
    }

    /// Completes an event, with its content if that is new, and makes it due. Returns false when it was complete already.
    pub async fn complete_event(
        &self,
        agent: &AgentId,
        seq: i64,
        content: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE events SET content = coalesce($3, content), ready_at = NULL,
            kept = CASE WHEN type = 'message.received' AND (SELECT a.keeps_texts FROM agents a WHERE a.id = $1)
                THEN coalesce($3, content) END
            WHERE agent_id = $1 AND seq = $2 AND ready_at IS NOT NULL";
        Ok(on_writer!(self, |db| {
            let mut tx = db.begin().await?;
            let done = sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(seq)
                .bind(content)
                .execute(&mut *tx)
                .await?;
            let completed = done.rows_affected() > 0;
            if completed {
                sqlx::query(MAKE_DUE)
                    .bind(agent.as_str())
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            Ok::<_, sqlx::Error>(completed)
        })?)
    }

    /// Stores the content that was fetched so far (`None`: no change) and schedules the next fetch at `retry_at`. Returns false
    /// when the event was complete already.
    pub async fn reschedule_incomplete_event(
        &self,
        agent: &AgentId,
        seq: i64,
        content: Option<&[u8]>,
        retry_at: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE events SET content = coalesce($3, content), ready_at = $4,
            kept = CASE WHEN type = 'message.received' AND (SELECT a.keeps_texts FROM agents a WHERE a.id = $1)
                THEN coalesce($3, content) END
            WHERE agent_id = $1 AND seq = $2 AND ready_at IS NOT NULL";
        let done = on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(seq)
                .bind(content)
                .bind(retry_at)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }

    /// Replaces the data of an incomplete event. Returns false when it was complete already.
    pub async fn update_incomplete_event(&self, agent: &AgentId, seq: i64, data: &Value) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE events SET data = $3 WHERE agent_id = $1 AND seq = $2 AND ready_at IS NOT NULL";
        let done = on_writer!(self, |db| {
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
