//! The durable log of what an agent is to learn, numbered per agent. Every way of reaching the agent reads from here.
//! What a person said stands in `content`, encrypted, until the agent has it.

use butt_dial_domain::{AgentId, Channel, clock::Timestamp};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    Store, StoreError,
    engine::{reading, writing},
};

// Rows are locked in the order of their numbers before they are written: two writers of the same ones can't wait for each
// other. Each is looked up by itself: asked for all of them in order, Postgres may read all that waits.
macro_rules! named_in_postgres {
    () => {
        "WITH named AS MATERIALIZED (SELECT found.id
            FROM (SELECT value::BIGINT AS seq FROM jsonb_array_elements_text($2) AS t (value) ORDER BY 1) item
            CROSS JOIN LATERAL (SELECT id FROM events WHERE agent_id = $1 AND seq = item.seq AND state = 'waiting'
                FOR UPDATE) found) "
    };
}

// By what is each event's own, and no join: else Postgres may read all of the agent's log.
macro_rules! is_named {
    () => {
        "id = ANY (ARRAY(SELECT id FROM named))"
    };
}

macro_rules! named_in_sqlite {
    () => {
        "agent_id = $1 AND seq IN (SELECT value FROM json_each($2)) AND state = 'waiting'"
    };
}

macro_rules! delivered {
    () => {
        "UPDATE events SET state = 'delivered', delivered_at = $3, held_until = NULL, retry_at = NULL, content = "
    };
}

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

#[derive(Clone, PartialEq, sqlx::FromRow)]
pub struct AgentEvent {
    pub seq: i64,
    pub id: String,
    #[sqlx(rename = "type")]
    pub kind: String,
    pub channel: Option<String>,
    /// `waiting` or `delivered`.
    pub state: String,
    pub reason: String,
    #[sqlx(json)]
    pub data: Value,
    /// Encrypted; `None` when there is none, or none any more.
    pub content: Option<Vec<u8>>,
    /// Calls of the callback that failed.
    pub tries: i64,
    pub created_at: Timestamp,
}

/// Where an agent's log ends, and up to where the agent has said that it has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct EventPositions {
    pub event_seq: i64,
    pub event_cursor: i64,
}

/// Data and content are a person's words and address.
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

/// Which waiting events are handed out, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct EventLease {
    /// `None`: of all channels.
    pub channel: Option<Channel>,
    /// Only those whose callback failed less often. `None` and `to_push`: to a listener, so without those that were too large
    /// for it.
    pub max_tries: Option<i64>,
    /// Only those that may be pushed.
    pub to_push: bool,
    pub limit: u32,
    pub now: Timestamp,
    /// Nobody else gets them before.
    pub until: Timestamp,
}

impl Store {
    /// Appends to the agent's log, and lets it be delivered; false when the id is there already.
    pub async fn append_event(&self, event: &NewEvent<'_>, now: Timestamp) -> Result<bool, StoreError> {
        const NEXT: &str = "UPDATE agents SET event_seq = event_seq + 1 WHERE id = $1 RETURNING event_seq";
        const INSERT: &str = "INSERT INTO events (agent_id, seq, id, type, channel, state, reason, data, created_at)
            VALUES ($1, $2, $3, $4, $5, 'waiting', $6, $7, $8) ON CONFLICT (id) DO NOTHING";
        const DUE: &str = "INSERT INTO deliveries (agent_id, due_at, generation) VALUES ($1, $2, 1)
            ON CONFLICT (agent_id) DO UPDATE SET generation = deliveries.generation + 1,
                due_at = CASE WHEN deliveries.failures > 0 THEN coalesce(deliveries.due_at, excluded.due_at)
                    ELSE excluded.due_at END";
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
                sqlx::query(DUE)
                    .bind(event.agent.as_str())
                    .bind(now)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await?;
            } else {
                tx.rollback().await?;
            }
            Ok(added)
        })
    }

    /// Hands out the oldest waiting events, to nobody else until `hold.until`. Only those that are complete, and whose
    /// contact has no older one that is not, or that somebody else holds: should that one come to nothing, it comes first.
    pub async fn lease_waiting_events(
        &self,
        agent: &AgentId,
        hold: &EventLease,
    ) -> Result<Vec<AgentEvent>, StoreError> {
        macro_rules! oldest {
            ($key:literal, $lock:literal) => {
                concat!(
                    "SELECT ",
                    $key,
                    " FROM events e WHERE agent_id = $1 AND state = 'waiting' AND ready_at IS NULL
                    AND (held_until IS NULL OR held_until < $5) AND (CAST($2 AS TEXT) IS NULL OR channel = $2)
                    AND (CAST($3 AS BIGINT) IS NULL OR (tries < $3 AND (retry_at IS NULL OR retry_at <= $5)
                        AND NOT EXISTS (SELECT 1 FROM events r WHERE r.agent_id = $1 AND r.contact = e.contact
                            AND r.retry_at IS NOT NULL AND r.retry_at > $5 AND r.seq < e.seq)))
                    AND NOT ($7 AND is_quiet)
                    AND NOT ($7 AND CAST($3 AS BIGINT) IS NULL AND reason = 'too_large_to_push')
                    AND NOT EXISTS (SELECT 1 FROM events u WHERE u.agent_id = $1 AND u.contact = e.contact
                        AND u.ready_at IS NOT NULL AND u.seq < e.seq)
                    AND NOT EXISTS (SELECT 1 FROM events h WHERE h.agent_id = $1 AND h.contact = e.contact
                        AND h.state = 'waiting' AND h.held_until IS NOT NULL AND h.held_until >= $5 AND h.seq < e.seq)
                    ORDER BY seq LIMIT $4",
                    $lock
                )
            };
        }
        // Locked, so that of two takers the second one gets the events after those of the first, not none.
        // A hold need not survive a crash, so nobody waits until it is on the disk: what it holds would only come again.
        const POSTGRES: &str = concat!(
            "WITH unhurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', TRUE) AS value),
            oldest AS MATERIALIZED (",
            oldest!("id", " FOR UPDATE"),
            ") UPDATE events SET held_until = $6 WHERE id = ANY (ARRAY(SELECT id FROM oldest))
                AND (SELECT value FROM unhurried) = 'off'
            RETURNING seq, id, type, channel, state, reason, data, content, tries, created_at"
        );
        const SQLITE: &str = concat!(
            "UPDATE events SET held_until = $6 WHERE agent_id = $1 AND seq IN (",
            oldest!("seq", ""),
            ") RETURNING seq, id, type, channel, state, reason, data, content, tries, created_at"
        );
        let sql = self.either(POSTGRES, SQLITE);
        let mut events: Vec<AgentEvent> = writing!(self, |db| {
            sqlx::query_as(sql)
                .bind(agent.as_str())
                .bind(hold.channel.map(Channel::as_str))
                .bind(hold.max_tries)
                .bind(i64::from(hold.limit))
                .bind(hold.now)
                .bind(hold.until)
                .bind(hold.to_push)
                .fetch_all(db)
                .await
        })?;
        events.sort_by_key(|event| event.seq);
        Ok(events)
    }

    /// The agent has them: what was said in them goes. `lingers`: not at once, because whoever waits for events may be about to
    /// read the same ones (`purge_delivered`).
    pub async fn confirm_events(
        &self,
        agent: &AgentId,
        seqs: &[i64],
        lingers: bool,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        macro_rules! confirmed {
            () => {
                concat!(delivered!(), "CASE WHEN $4 THEN events.content END")
            };
        }
        const POSTGRES: &str = concat!(named_in_postgres!(), confirmed!(), " WHERE ", is_named!());
        const SQLITE: &str = concat!(confirmed!(), " WHERE ", named_in_sqlite!());
        let sql = self.either(POSTGRES, SQLITE);
        Ok(writing!(self, |db| {
            sqlx::query(sql)
                .bind(agent.as_str())
                .bind(Json(seqs))
                .bind(now)
                .bind(lingers)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?)
    }

    /// They did not arrive, and may be handed out again. `tried`: the callback was called and failed. One that was
    /// `too_large_to_push` stays that, whatever else comes of it.
    pub async fn release_events(
        &self,
        agent: &AgentId,
        seqs: &[i64],
        reason: &str,
        tried: bool,
    ) -> Result<(), StoreError> {
        macro_rules! released {
            () => {
                "UPDATE events SET held_until = NULL, tries = tries + $4,
                reason = CASE WHEN reason = 'too_large_to_push' THEN reason ELSE $3 END"
            };
        }
        const POSTGRES: &str = concat!(named_in_postgres!(), released!(), " WHERE ", is_named!());
        const SQLITE: &str = concat!(released!(), " WHERE ", named_in_sqlite!());
        let sql = self.either(POSTGRES, SQLITE);
        writing!(self, |db| {
            sqlx::query(sql)
                .bind(agent.as_str())
                .bind(Json(seqs))
                .bind(reason)
                .bind(i64::from(tried))
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// The callback has not taken it: not before `retry_at` is it called with it again. `None`: never, by itself.
    pub async fn reschedule_event(
        &self,
        agent: &AgentId,
        seq: i64,
        reason: &str,
        retry_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE events SET held_until = NULL, tries = tries + 1, reason = $3, retry_at = $4
            WHERE agent_id = $1 AND seq = $2 AND state = 'waiting'";
        writing!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(seq)
                .bind(reason)
                .bind(retry_at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// The callback may be tried again, however often it has failed.
    pub async fn reset_tries(&self, agent: &AgentId) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE events SET tries = 0, retry_at = NULL
            WHERE agent_id = $1 AND state = 'waiting' AND tries > 0";
        writing!(self, |db| sqlx::query(SQL)
            .bind(agent.as_str())
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// The agent says that it has everything up to `cursor`. Returns how many of them waited until now. A cursor beyond the
    /// end counts as the end; one behind an earlier one changes nothing. The log ends before an event that is not complete:
    /// the agent has not been shown that one, nor what came after it.
    pub async fn ack_events(&self, agent: &AgentId, cursor: i64, now: Timestamp) -> Result<u64, StoreError> {
        const CURSOR: &str = "WITH log AS (SELECT coalesce((SELECT MIN(seq) - 1 FROM events
                    WHERE agent_id = $1 AND ready_at IS NOT NULL), event_seq) AS last FROM agents WHERE id = $1)
            UPDATE agents SET event_cursor = CASE WHEN $2 > log.last THEN log.last ELSE $2 END FROM log
            WHERE id = $1 AND event_cursor < $2 AND event_cursor < log.last";
        macro_rules! had {
            () => {
                "agent_id = $1 AND seq <= $2 AND seq <= (SELECT event_cursor FROM agents WHERE id = $1)
                AND state = 'waiting'"
            };
        }
        const POSTGRES: &str = concat!(
            "WITH named AS MATERIALIZED (SELECT id FROM events WHERE ",
            had!(),
            " ORDER BY seq FOR UPDATE) ",
            delivered!(),
            "NULL WHERE ",
            is_named!()
        );
        const SQLITE: &str = concat!(delivered!(), "NULL WHERE ", had!());
        let done = self.either(POSTGRES, SQLITE);
        Ok(writing!(self, |db| {
            let mut tx = db.begin().await?;
            sqlx::query(CURSOR)
                .bind(agent.as_str())
                .bind(cursor)
                .execute(&mut *tx)
                .await?;
            let done = sqlx::query(done)
                .bind(agent.as_str())
                .bind(cursor)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok::<_, sqlx::Error>(done.rows_affected())
        })?)
    }

    /// The agent's log after `after`, in order; it ends before the first event that is not complete.
    pub async fn list_events(&self, agent: &AgentId, after: i64, limit: u32) -> Result<Vec<AgentEvent>, StoreError> {
        // Not compared with the number of that event: the planner would take it that few are left, and read and sort them all.
        const SQL: &str = "SELECT seq, id, type, channel, state, reason, data, content, tries, created_at FROM events e
            WHERE agent_id = $1 AND seq > $2 AND NOT EXISTS (SELECT 1 FROM events u WHERE u.agent_id = $1
                AND u.ready_at IS NOT NULL AND u.seq <= e.seq) ORDER BY seq LIMIT $3";
        Ok(reading!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(after)
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }

    pub async fn find_event(&self, agent: &AgentId, id: &str) -> Result<Option<AgentEvent>, StoreError> {
        const SQL: &str = "SELECT seq, id, type, channel, state, reason, data, content, tries, created_at FROM events
            WHERE agent_id = $1 AND id = $2";
        Ok(reading!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(id)
                .fetch_optional(db)
                .await
        })?)
    }

    pub async fn find_event_positions(&self, agent: &AgentId) -> Result<Option<EventPositions>, StoreError> {
        const SQL: &str = "SELECT event_seq, event_cursor FROM agents WHERE id = $1";
        Ok(reading!(self, |db| sqlx::query_as(SQL)
            .bind(agent.as_str())
            .fetch_optional(db)
            .await)?)
    }

    /// The number of the oldest event that waits.
    pub async fn find_first_waiting_event(&self, agent: &AgentId) -> Result<Option<i64>, StoreError> {
        const SQL: &str = "SELECT seq FROM events WHERE agent_id = $1 AND state = 'waiting' ORDER BY seq LIMIT 1";
        Ok(reading!(self, |db| sqlx::query_scalar(SQL)
            .bind(agent.as_str())
            .fetch_optional(db)
            .await)?)
    }

    pub async fn count_waiting_events(&self, agent: &AgentId) -> Result<i64, StoreError> {
        const SQL: &str = "SELECT COUNT(*) FROM events WHERE agent_id = $1 AND state = 'waiting'";
        Ok(reading!(self, |db| sqlx::query_scalar(SQL)
            .bind(agent.as_str())
            .fetch_one(db)
            .await)?)
    }
}
