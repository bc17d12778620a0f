//! Events that went out without their text, because whoever has it did not answer in time. The text follows as an event of
//! its own: what was numbered and shown does not change.

use std::collections::HashSet;

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    InboundRow, Store, StoreError,
    engine::{in_time, within, writing},
    inbound::log,
    incomplete_events::DUE,
};

/// An event whose text is still asked for.
#[derive(Clone, sqlx::FromRow)]
pub struct EventAwaitingBody {
    #[sqlx(rename = "agent_id")]
    agent: String,
    #[sqlx(rename = "org_id")]
    org: String,
    pub seq: i64,
    pub id: String,
    #[sqlx(json)]
    pub data: Value,
    pub is_quiet: bool,
    pub created_at: Timestamp,
}

impl EventAwaitingBody {
    pub fn agent(&self) -> AgentId {
        AgentId::from(self.agent.as_str())
    }

    pub fn org(&self) -> OrgId {
        OrgId::from(self.org.as_str())
    }
}

impl Store {
    /// The event goes out as it is, with this data; its text is asked for again at `again`. False when it was complete already.
    pub async fn release_without_body(
        &self,
        agent: &AgentId,
        seq: i64,
        data: &Value,
        (now, again): (Timestamp, Timestamp),
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE events SET data = $3, refetch_at = $4, ready_at = NULL
            WHERE agent_id = $1 AND seq = $2 AND ready_at IS NOT NULL";
        Ok(writing!(self, |db| {
            let mut tx = db.begin().await?;
            let done = sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(seq)
                .bind(Json(data))
                .bind(again)
                .execute(&mut *tx)
                .await?;
            let released = done.rows_affected() > 0;
            if released {
                sqlx::query(DUE)
                    .bind(agent.as_str())
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            Ok::<_, sqlx::Error>(released)
        })?)
    }

    /// Takes events whose text is to be asked for, and puts the next look off to `until`.
    pub async fn claim_deferred_bodies(
        &self,
        limit: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<EventAwaitingBody>, StoreError> {
        const POSTGRES: &str = "WITH due AS MATERIALIZED (
                SELECT id FROM events WHERE refetch_at <= $1 ORDER BY refetch_at LIMIT $2 FOR UPDATE SKIP LOCKED
            ) UPDATE events SET refetch_at = $3 FROM due, agents WHERE events.id = due.id AND agents.id = events.agent_id
            RETURNING events.agent_id, agents.org_id, events.seq, events.id, data, is_quiet, events.created_at";
        const SQLITE: &str = "UPDATE events SET refetch_at = $3
            WHERE id IN (SELECT id FROM events WHERE refetch_at <= $1 ORDER BY refetch_at LIMIT $2)
            RETURNING agent_id, (SELECT org_id FROM agents WHERE agents.id = events.agent_id) AS org_id, seq, id, data,
                is_quiet, created_at";
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

    /// Asks for the text another time.
    pub async fn reschedule_body_fetch(&self, event: &EventAwaitingBody, again: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE events SET refetch_at = $3
            WHERE agent_id = $1 AND seq = $2 AND refetch_at IS NOT NULL";
        writing!(self, |db| {
            sqlx::query(SQL)
                .bind(&event.agent)
                .bind(event.seq)
                .bind(again)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// What there is to say about the text, as an event of its own; nobody asks for it again. False when somebody has said
    /// it before.
    // The agent's row first, as everybody does who appends.
    pub async fn append_deferred_body(
        &self,
        event: &EventAwaitingBody,
        late: &InboundRow,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const DONE: &str = "UPDATE events SET refetch_at = NULL
            WHERE agent_id = $1 AND seq = $2 AND refetch_at IS NOT NULL";
        let added = in_time(async {
            let mut tx = self.begin().await?;
            log::write(&mut tx, vec![late], HashSet::new(), now).await?;
            let done = within!(&mut tx, |db| {
                let done = sqlx::query(DONE).bind(&event.agent).bind(event.seq);
                done.execute(db).await?.rows_affected()
            });
            if done == 0 {
                return Ok(false);
            }
            within!(&mut tx, |db| sqlx::query(DUE)
                .bind(&event.agent)
                .bind(now)
                .execute(db)
                .await?
                .rows_affected());
            tx.commit().await?;
            Ok(true)
        })
        .await;
        match added {
            Err(StoreError::Conflict) => Ok(false),
            added => added,
        }
    }
}
