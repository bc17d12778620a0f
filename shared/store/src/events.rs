//! The durable event log of each agent, numbered per agent without gaps. Every delivery path reads from it.
//! Message text is in `content`, encrypted, and only until the agent has received the event. Leases are in `event_leases.rs`.

use butt_dial_domain::{AgentId, Channel, address::contact_key, clock::Timestamp};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    Store, StoreError,
    column::text_column,
    engine::{Sql, Tx, in_tx, on_reader, with_timeout},
};

/// Whether the agent has received an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum EventState {
    Waiting,
    Delivered,
}

text_column!(EventState, "events", "state");

/// Why an event waits. Part of the JSON that agents read.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::EnumString, strum::IntoStaticStr,
)]
#[strum(serialize_all = "snake_case")]
pub enum EventReason {
    AgentOffline,
    CallbackFailed,
    /// Listeners received a short notice instead of the event. It is not pushed again; polling clients and callbacks get it.
    TooLargeToPush,
}

text_column!(EventReason, "events", "reason");

/// An event to append.
#[derive(Clone, Debug)]
pub struct NewEvent<'a> {
    pub agent: &'a AgentId,
    /// Unique: a second event with the same id is dropped.
    pub id: &'a str,
    pub kind: &'a str,
    pub channel: Option<Channel>,
    pub reason: EventReason,
    /// A JSON object.
    pub data: &'a Value,
}

/// An event of an agent's log.
#[derive(Clone, PartialEq, sqlx::FromRow)]
pub struct AgentEvent {
    pub seq: i64,
    pub id: String,
    #[sqlx(rename = "type")]
    pub kind: String,
    pub channel: Option<String>,
    pub state: EventState,
    pub reason: EventReason,
    #[sqlx(json)]
    pub data: Value,
    /// Encrypted; `None` when there is no content or it was deleted.
    pub content: Option<Vec<u8>>,
    /// Failed requests to the callback.
    pub tries: i64,
    pub created_at: Timestamp,
}

/// The number of the last event in an agent's log, and of the last event that the agent has acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct EventPositions {
    pub event_seq: i64,
    pub event_cursor: i64,
}

/// Leaves out data and content: they hold message text and addresses.
impl std::fmt::Debug for AgentEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentEvent")
            .field("seq", &self.seq)
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("state", &self.state)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// The result of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    New,
    /// The id exists already. No row has changed.
    Known,
    /// Another transaction has appended it meanwhile. This one must not commit: it took a number of the log for nothing.
    Raced,
}

/// Appends to the agent's log and makes its delivery due.
pub(crate) async fn append_in(tx: &mut Tx, event: &NewEvent<'_>, now: Timestamp) -> Result<Appended, StoreError> {
    // Locks the agent's row, so that numbers are assigned in commit order. No number is taken for an event that exists.
    const NEXT: &str = "UPDATE agents SET event_seq = event_seq + 1
        WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM events WHERE id = $2) RETURNING event_seq";
    const KNOWN: &str = "SELECT id FROM events WHERE id = $1";
    const INSERT: &str = "INSERT INTO events (agent_id, seq, id, type, channel, state, reason, data, created_at)
        VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7, $8) ON CONFLICT (id) DO NOTHING";
    const DUE: &str = "INSERT INTO deliveries (agent_id, due_at, generation) VALUES ($1, $2, 1)
        ON CONFLICT (agent_id) DO UPDATE SET generation = deliveries.generation + 1,
            due_at = CASE WHEN deliveries.failures > 0 THEN coalesce(deliveries.due_at, excluded.due_at)
                ELSE excluded.due_at END";
    in_tx!(tx, |db| {
        let seq: Option<i64> = sqlx::query_scalar(NEXT)
            .bind(event.agent.as_str())
            .bind(event.id)
            .fetch_optional(&mut *db)
            .await?;
        let Some(seq) = seq else {
            // Fails for an agent that does not exist.
            let _: String = sqlx::query_scalar(KNOWN).bind(event.id).fetch_one(&mut *db).await?;
            return Ok(Appended::Known);
        };
        let done = sqlx::query(INSERT)
            .bind(event.agent.as_str())
            .bind(seq)
            .bind(event.id)
            .bind(event.kind)
            .bind(event.channel.map(Channel::as_str))
            .bind(<&str>::from(event.reason))
            .bind(Json(event.data))
            .bind(now)
            .execute(&mut *db)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(Appended::Raced);
        }
        sqlx::query(DUE)
            .bind(event.agent.as_str())
            .bind(now)
            .execute(&mut *db)
            .await?;
        Ok(Appended::New)
    })
}

impl Store {
    /// Appends to the agent's log and makes its delivery due. Returns false when the id exists already.
    pub async fn append_event(&self, event: &NewEvent<'_>, now: Timestamp) -> Result<bool, StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            let is_new = append_in(&mut tx, event, now).await? == Appended::New;
            if is_new {
                tx.commit().await?;
            }
            Ok(is_new)
        })
        .await
    }

    /// Lists the agent's log after the number `after`, in order. The list ends before the first incomplete event.
    pub async fn list_events(&self, agent: &AgentId, after: i64, limit: u32) -> Result<Vec<AgentEvent>, StoreError> {
        // No comparison with the number of the first incomplete event: with one, the planner of Postgres expects few rows and
        // reads and sorts the agent's whole log. The limit is no constant for the same reason: one that seems larger than the log,
        // by old statistics, would do the same.
        const SQL: &str = "SELECT seq, id, type, channel, state, reason, data, content, tries, created_at FROM events e
            WHERE agent_id = $1 AND seq > $2 AND NOT EXISTS (SELECT 1 FROM events u WHERE u.agent_id = $1
                AND u.ready_at IS NOT NULL AND u.seq <= e.seq) ORDER BY seq LIMIT (SELECT CAST($3 AS BIGINT))";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }

    /// Finds one event of the agent.
    pub async fn find_event(&self, agent: &AgentId, id: &str) -> Result<Option<AgentEvent>, StoreError> {
        const SQL: &str = "SELECT seq, id, type, channel, state, reason, data, content, tries, created_at FROM events
            WHERE agent_id = $1 AND id = $2";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id)
                .fetch_optional(db)
                .await
        })?)
    }

    /// Finds the last message that the contact sent to the agent on this channel, among the agent's last 500 events.
    pub async fn find_last_message_event(
        &self,
        agent: &AgentId,
        channel: Channel,
        contact: &str,
    ) -> Result<Option<AgentEvent>, StoreError> {
        // The limit within bounds the rows that are read.
        const SQL: &str = "SELECT seq, id, type, channel, state, reason, data, content, tries, created_at FROM (
                SELECT seq, id, type, channel, state, reason, data, content, tries, created_at, contact FROM events
                WHERE agent_id = $1 ORDER BY seq DESC LIMIT 500) AS recent
            WHERE type = 'message.received' AND channel = $2 AND contact IN ($3, $4) ORDER BY seq DESC LIMIT 1";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(channel.as_str())
                .bind(contact)
                .bind(contact_key(contact))
                .fetch_optional(db)
                .await
        })?)
    }

    /// Finds the positions of the agent's log. `None`: no such agent.
    pub async fn find_event_positions(&self, agent: &AgentId) -> Result<Option<EventPositions>, StoreError> {
        const SQL: &str = "SELECT event_seq, event_cursor FROM agents WHERE id = $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(agent.as_str())
            .fetch_optional(db)
            .await)?)
    }

    /// Finds the number of the oldest waiting event of these kinds. No kinds: of all.
    pub async fn find_first_waiting_event(&self, agent: &AgentId, kinds: &[String]) -> Result<Option<i64>, StoreError> {
        const ANY: &str = "SELECT seq FROM events WHERE agent_id = $1 AND state = 'waiting' ORDER BY seq LIMIT 1";
        const OF_KINDS: Sql = Sql {
            postgres: "SELECT seq FROM events WHERE agent_id = $1 AND state = 'waiting'
                AND type = ANY (ARRAY(SELECT jsonb_array_elements_text($2))) ORDER BY seq LIMIT 1",
            sqlite: "SELECT seq FROM events WHERE agent_id = $1 AND state = 'waiting'
                AND type IN (SELECT value FROM json_each($2)) ORDER BY seq LIMIT 1",
        };
        if kinds.is_empty() {
            return Ok(on_reader!(self, |db| sqlx::query_scalar(ANY)
                .bind(agent.as_str())
                .fetch_optional(db)
                .await)?);
        }
        let sql = self.sql(OF_KINDS);
        Ok(on_reader!(self, |db| sqlx::query_scalar(sql)
            .bind(agent.as_str())
            .bind(Json(kinds))
            .fetch_optional(db)
            .await)?)
    }

    /// Counts the agent's waiting events.
    pub async fn count_waiting_events(&self, agent: &AgentId) -> Result<i64, StoreError> {
        const SQL: &str = "SELECT COUNT(*) FROM events WHERE agent_id = $1 AND state = 'waiting'";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(agent.as_str())
            .fetch_one(db)
            .await)?)
    }
}
