//! Events that were delivered without their body, because the carrier did not return it in time. The body follows as a second
//! event: an event that has a number and may have been read must not change.

use std::collections::HashSet;

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    InboundRow, Store, StoreError,
    engine::{Sql, in_tx, on_writer, with_timeout},
    inbound::log,
    incomplete_events::MAKE_DUE,
};

/// A delivered event with a body that is still to be fetched.
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
    /// Makes an incomplete event due as it is, with this data, and schedules the next fetch of its body at `retry_at`. Returns
    /// false when it was complete already.
    pub async fn release_without_body(
        &self,
        agent: &AgentId,
        seq: i64,
        data: &Value,
        (now, retry_at): (Timestamp, Timestamp),
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE events SET data = $3, refetch_at = $4, ready_at = NULL
            WHERE agent_id = $1 AND seq = $2 AND ready_at IS NOT NULL";
        Ok(on_writer!(self, |db| {
            let mut tx = db.begin().await?;
            let done = sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(seq)
                .bind(Json(data))
                .bind(retry_at)
                .execute(&mut *tx)
                .await?;
            let released = done.rows_affected() > 0;
            if released {
                sqlx::query(MAKE_DUE)
                    .bind(agent.as_str())
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
            }
            tx.commit().await?;
            Ok::<_, sqlx::Error>(released)
        })?)
    }

    /// Claims events with a due fetch of the body, until `until`.
    pub async fn claim_deferred_bodies(
        &self,
        limit: u32,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<EventAwaitingBody>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "WITH due AS MATERIALIZED (
                    SELECT id FROM events WHERE refetch_at <= $1 ORDER BY refetch_at LIMIT $2 FOR UPDATE SKIP LOCKED
                ) UPDATE events SET refetch_at = $3 FROM due, agents
                WHERE events.id = due.id AND agents.id = events.agent_id
                RETURNING events.agent_id, agents.org_id, events.seq, events.id, data, is_quiet, events.created_at",
            sqlite: "UPDATE events SET refetch_at = $3
                WHERE id IN (SELECT id FROM events WHERE refetch_at <= $1 ORDER BY refetch_at LIMIT $2)
                RETURNING agent_id, (SELECT org_id FROM agents WHERE agents.id = events.agent_id) AS org_id, seq, id,
                    data, is_quiet, created_at",
        };
        self.claim_fetches(SQL, limit, now, until).await
    }

    /// Schedules the next fetch of a body.
    pub async fn reschedule_body_fetch(
        &self,
        event: &EventAwaitingBody,
        retry_at: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE events SET refetch_at = $3
            WHERE agent_id = $1 AND seq = $2 AND refetch_at IS NOT NULL";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(&event.agent)
                .bind(event.seq)
                .bind(retry_at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Appends the second event, `late`, and ends the fetching. Returns false when another replica has appended it already.
    // The agent's row is locked first, in the same order as by every other append.
    pub async fn append_deferred_body(
        &self,
        event: &EventAwaitingBody,
        late: &InboundRow,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const DONE: &str = "UPDATE events SET refetch_at = NULL
            WHERE agent_id = $1 AND seq = $2 AND refetch_at IS NOT NULL";
        let added = with_timeout(async {
            let mut tx = self.begin().await?;
            log::write(&mut tx, vec![late], HashSet::new(), now).await?;
            let done = in_tx!(&mut tx, |db| {
                let done = sqlx::query(DONE).bind(&event.agent).bind(event.seq);
                done.execute(db).await?.rows_affected()
            });
            if done == 0 {
                return Ok(false);
            }
            in_tx!(&mut tx, |db| sqlx::query(MAKE_DUE)
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
