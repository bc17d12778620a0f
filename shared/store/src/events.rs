//! The durable log of what an agent is to learn, numbered per agent. Every way of reaching the agent reads from here.

use butt_dial_domain::{AgentId, Channel, clock::Timestamp};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    Store, StoreError,
    engine::{Engine, writing},
};

#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    pub agent: &'a AgentId,
    /// Unique: a second event with the same id is dropped.
    pub id: &'a str,
    pub kind: &'a str,
    pub channel: Option<Channel>,
    /// Why it waits, such as `agent_offline`.
    pub reason: &'a str,
    /// An object.
    pub data: &'a Value,
}

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Event {
    pub seq: i64,
    pub id: String,
    #[sqlx(rename = "type")]
    pub kind: String,
    pub channel: Option<String>,
    pub reason: String,
    #[sqlx(json)]
    pub data: Value,
    pub created_at: Timestamp,
}

impl Store {
    /// Appends to the agent's log; false when the id is there already.
    pub async fn append_event(&self, event: &NewEvent<'_>, now: Timestamp) -> Result<bool, StoreError> {
        const NEXT: &str = "UPDATE agents SET event_seq = event_seq + 1 WHERE id = $1 RETURNING event_seq";
        const INSERT: &str = "INSERT INTO events (agent_id, seq, id, type, channel, state, reason, data, created_at)
            VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7, $8) ON CONFLICT (id) DO NOTHING";
        writing!(self, |db| {
            let mut tx = db.begin().await?;
            // The agent's row is locked by this, so numbers are handed out in the order in which they commit.
            let seq: i64 = sqlx::query_scalar(NEXT)
                .bind(event.agent.as_str())
                .fetch_one(&mut *tx)
                .await?;
            let done = sqlx::query(INSERT)
                .bind(event.agent.as_str())
                .bind(seq)
                .bind(event.id)
                .bind(event.kind)
                .bind(event.channel.map(Channel::as_str))
                .bind(event.reason)
                .bind(Json(event.data))
                .bind(now)
                .execute(&mut *tx)
                .await?;
            let added = done.rows_affected() == 1;
            if added {
                tx.commit().await?;
            } else {
                tx.rollback().await?;
            }
            Ok(added)
        })
    }

    /// Hands out the oldest waiting events, and marks them delivered in the same statement.
    pub async fn take_waiting_events(
        &self,
        agent: &AgentId,
        channel: Option<Channel>,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Event>, StoreError> {
        // Locked, so that of two takers the second one gets the events after those of the first, not none.
        const POSTGRES: &str = "WITH oldest AS MATERIALIZED (
                SELECT seq FROM events WHERE agent_id = $1 AND state = 'waiting'
                    AND (CAST($2 AS TEXT) IS NULL OR channel = $2) ORDER BY seq LIMIT $3 FOR UPDATE
            ) UPDATE events SET state = 'delivered', delivered_at = $4 FROM oldest
            WHERE events.agent_id = $1 AND events.seq = oldest.seq
            RETURNING events.seq, id, type, channel, reason, data, created_at";
        const SQLITE: &str = "UPDATE events SET state = 'delivered', delivered_at = $4 WHERE agent_id = $1 AND seq IN (
                SELECT seq FROM events WHERE agent_id = $1 AND state = 'waiting'
                    AND (CAST($2 AS TEXT) IS NULL OR channel = $2) ORDER BY seq LIMIT $3)
            RETURNING seq, id, type, channel, reason, data, created_at";
        let sql = match self.engine {
            Engine::Postgres(_) => POSTGRES,
            Engine::Sqlite { .. } => SQLITE,
        };
        let mut events: Vec<Event> = writing!(self, |db| {
            sqlx::query_as(sql)
                .bind(agent.as_str())
                .bind(channel.map(Channel::as_str))
                .bind(i64::from(limit))
                .bind(now)
                .fetch_all(db)
                .await
        })?;
        events.sort_by_key(|event| event.seq);
        Ok(events)
    }
}
