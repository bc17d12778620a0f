//! Leases on waiting events: an event is handed to one receiver for a limited time, and then confirmed, released or
//! rescheduled. An event must not be handed out before an older one of the same contact.
//!
//! On Postgres, statements that change several events lock their rows in the order of their numbers first, so that two of
//! them cannot deadlock. Each row is found by its own lookup, and changed by its id: with a join, or with a list of numbers,
//! the planner may read all waiting events of the agent.

use butt_dial_domain::{AgentId, Channel, clock::Timestamp};
use sqlx::types::Json;

use crate::{
    AgentEvent, EventReason, Store, StoreError,
    engine::{Engine, Sql, on_writer, with_timeout},
    postgres::PgDatabase,
};

/// Which waiting events are leased, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct EventLease {
    /// `None`: events of all channels.
    pub channel: Option<Channel>,
    /// Only events with fewer failed callbacks than this. `None` together with `to_push`: for a listener, and without the
    /// events that are too large to push.
    pub max_tries: Option<i64>,
    /// Only events that may be pushed.
    pub to_push: bool,
    pub limit: u32,
    pub now: Timestamp,
    /// The end of the lease. The events are not leased again before.
    pub until: Timestamp,
}

const LEASE: Sql = Sql {
    // A lease need not survive a crash, so the commit does not wait for the disk: a lost lease only causes a redelivery.
    postgres: "WITH unhurried AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', TRUE) AS value),
        oldest AS MATERIALIZED (
            SELECT id FROM events e WHERE agent_id = $1 AND state = 'waiting' AND ready_at IS NULL
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
                ORDER BY seq LIMIT $4 FOR UPDATE
        ) UPDATE events SET held_until = $6 WHERE id = ANY (ARRAY(SELECT id FROM oldest))
            AND (SELECT value FROM unhurried) = 'off'
        RETURNING seq, id, type, channel, state, reason, data, content, tries, created_at",
    sqlite: "UPDATE events SET held_until = $6 WHERE agent_id = $1 AND seq IN (
            SELECT seq FROM events e WHERE agent_id = $1 AND state = 'waiting' AND ready_at IS NULL
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
                ORDER BY seq LIMIT $4
        ) RETURNING seq, id, type, channel, state, reason, data, content, tries, created_at",
};

const EXTEND: Sql = Sql {
    postgres: "WITH named AS MATERIALIZED (SELECT found.id
            FROM (SELECT value::BIGINT AS seq FROM jsonb_array_elements_text($2) AS t (value) ORDER BY 1) item
            CROSS JOIN LATERAL (SELECT id FROM events WHERE agent_id = $1 AND seq = item.seq AND state = 'waiting'
                AND held_until IS NOT NULL FOR UPDATE) found)
        UPDATE events SET held_until = $3 WHERE id = ANY (ARRAY(SELECT id FROM named))",
    sqlite: "UPDATE events SET held_until = $3
        WHERE agent_id = $1 AND seq IN (SELECT value FROM json_each($2)) AND state = 'waiting' AND held_until IS NOT NULL",
};

const CONFIRM: Sql = Sql {
    postgres: "WITH named AS MATERIALIZED (SELECT found.id
            FROM (SELECT value::BIGINT AS seq FROM jsonb_array_elements_text($2) AS t (value) ORDER BY 1) item
            CROSS JOIN LATERAL (SELECT id FROM events WHERE agent_id = $1 AND seq = item.seq AND state = 'waiting'
                FOR UPDATE) found)
        UPDATE events SET state = 'delivered', delivered_at = $3, held_until = NULL, retry_at = NULL,
            content = CASE WHEN $4 THEN events.content END
        WHERE id = ANY (ARRAY(SELECT id FROM named))",
    sqlite: "UPDATE events SET state = 'delivered', delivered_at = $3, held_until = NULL, retry_at = NULL,
            content = CASE WHEN $4 THEN events.content END
        WHERE agent_id = $1 AND seq IN (SELECT value FROM json_each($2)) AND state = 'waiting'",
};

const RELEASE: Sql = Sql {
    postgres: "WITH named AS MATERIALIZED (SELECT found.id
            FROM (SELECT value::BIGINT AS seq FROM jsonb_array_elements_text($2) AS t (value) ORDER BY 1) item
            CROSS JOIN LATERAL (SELECT id FROM events WHERE agent_id = $1 AND seq = item.seq AND state = 'waiting'
                FOR UPDATE) found)
        UPDATE events SET held_until = NULL, tries = tries + $4,
            reason = CASE WHEN reason = 'too_large_to_push' THEN reason ELSE $3 END
        WHERE id = ANY (ARRAY(SELECT id FROM named))",
    sqlite: "UPDATE events SET held_until = NULL, tries = tries + $4,
            reason = CASE WHEN reason = 'too_large_to_push' THEN reason ELSE $3 END
        WHERE agent_id = $1 AND seq IN (SELECT value FROM json_each($2)) AND state = 'waiting'",
};

const ADVANCE_CURSOR: &str = "WITH log AS (SELECT coalesce((SELECT MIN(seq) - 1 FROM events
            WHERE agent_id = $1 AND ready_at IS NOT NULL), event_seq) AS last FROM agents WHERE id = $1)
    UPDATE agents SET event_cursor = CASE WHEN $2 > log.last THEN log.last ELSE $2 END FROM log
    WHERE id = $1 AND event_cursor < $2 AND event_cursor < log.last";

const CONFIRM_UP_TO_CURSOR: Sql = Sql {
    postgres: "WITH named AS MATERIALIZED (SELECT id FROM events
            WHERE agent_id = $1 AND seq <= $2 AND seq <= (SELECT event_cursor FROM agents WHERE id = $1)
                AND state = 'waiting' ORDER BY seq FOR UPDATE)
        UPDATE events SET state = 'delivered', delivered_at = $3, held_until = NULL, retry_at = NULL, content = NULL
        WHERE id = ANY (ARRAY(SELECT id FROM named))",
    sqlite:
        "UPDATE events SET state = 'delivered', delivered_at = $3, held_until = NULL, retry_at = NULL, content = NULL
        WHERE agent_id = $1 AND seq <= $2 AND seq <= (SELECT event_cursor FROM agents WHERE id = $1)
            AND state = 'waiting'",
};

/// Binds the parameters of `LEASE`. A macro, because each engine has its own type of query.
macro_rules! bind_lease {
    ($query:expr, $agent:expr, $lease:expr) => {
        $query
            .bind($agent.as_str())
            .bind($lease.channel.map(Channel::as_str))
            .bind($lease.max_tries)
            .bind(i64::from($lease.limit))
            .bind($lease.now)
            .bind($lease.until)
            .bind($lease.to_push)
    };
}

/// Leases on Postgres, one caller of an agent after the other: a statement that begins before another one has committed
/// does not see its leases, and would hand out later events of a contact first. The lock is no row lock, so that new events
/// do not wait for a slow reader.
async fn take_turn_on_postgres(
    db: &PgDatabase,
    agent: &AgentId,
    lease: &EventLease,
) -> Result<Vec<AgentEvent>, sqlx::Error> {
    const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 1))";
    let mut tx = db.begin().await?;
    sqlx::query(LOCK).bind(agent.as_str()).execute(&mut *tx).await?;
    let leased = bind_lease!(sqlx::query_as(LEASE.postgres), agent, lease);
    let events = leased.fetch_all(&mut *tx).await?;
    tx.commit().await?;
    Ok(events)
}

impl Store {
    /// Leases the oldest waiting events until `lease.until`. Leaves out incomplete events, and events of a contact that has an
    /// older event which is incomplete or leased: if that one is not delivered, it must be redelivered first.
    pub async fn lease_waiting_events(
        &self,
        agent: &AgentId,
        lease: &EventLease,
    ) -> Result<Vec<AgentEvent>, StoreError> {
        let mut events = match &self.engine {
            Engine::Postgres(db) => with_timeout(take_turn_on_postgres(db, agent, lease)).await?,
            Engine::Sqlite { write, .. } => {
                with_timeout(bind_lease!(sqlx::query_as(LEASE.sqlite), agent, lease).fetch_all(write)).await?
            }
        };
        events.sort_by_key(|event: &AgentEvent| event.seq);
        Ok(events)
    }

    /// Extends the lease of events that are still being delivered.
    pub async fn extend_event_leases(&self, agent: &AgentId, seqs: &[i64], until: Timestamp) -> Result<(), StoreError> {
        let sql = self.sql(EXTEND);
        on_writer!(self, |db| {
            sqlx::query(sql)
                .bind(agent.as_str())
                .bind(Json(seqs))
                .bind(until)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Marks events as delivered and deletes their content. `retain_body` keeps the content until `purge_delivered`, because
    /// a polling client may be about to read the same events. Returns how many were waiting.
    pub async fn confirm_events(
        &self,
        agent: &AgentId,
        seqs: &[i64],
        retain_body: bool,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = self.sql(CONFIRM);
        Ok(on_writer!(self, |db| {
            sqlx::query(sql)
                .bind(agent.as_str())
                .bind(Json(seqs))
                .bind(now)
                .bind(retain_body)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?)
    }

    /// Ends the lease of undelivered events, so that they can be leased again. `tried`: a request to the callback failed.
    /// The reason `TooLargeToPush` is never replaced.
    pub async fn release_events(
        &self,
        agent: &AgentId,
        seqs: &[i64],
        reason: EventReason,
        tried: bool,
    ) -> Result<(), StoreError> {
        let sql = self.sql(RELEASE);
        on_writer!(self, |db| {
            sqlx::query(sql)
                .bind(agent.as_str())
                .bind(Json(seqs))
                .bind(<&str>::from(reason))
                .bind(i64::from(tried))
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Ends the lease of an event after a failed callback and counts the failure. The callback is not called with it before
    /// `retry_at`. `None`: not retried automatically.
    pub async fn reschedule_event(
        &self,
        agent: &AgentId,
        seq: i64,
        reason: EventReason,
        retry_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE events SET held_until = NULL, tries = tries + 1, reason = $3, retry_at = $4
            WHERE agent_id = $1 AND seq = $2 AND state = 'waiting'";
        on_writer!(self, |db| {
            sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(seq)
                .bind(<&str>::from(reason))
                .bind(retry_at)
                .execute(db)
                .await
                .map(drop)
        })?;
        Ok(())
    }

    /// Resets the failed tries of all waiting events, so that the callback is called with them again.
    pub async fn reset_tries(&self, agent: &AgentId) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE events SET tries = 0, retry_at = NULL
            WHERE agent_id = $1 AND state = 'waiting' AND tries > 0";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(agent.as_str())
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Acknowledges the events of these kinds up to `cursor`, as far as the agent can have seen them. Others stay as they are.
    /// Returns how many were waiting.
    pub async fn ack_events_of(
        &self,
        agent: &AgentId,
        cursor: i64,
        kinds: &[String],
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        const SQL: Sql = Sql {
            postgres: "WITH named AS MATERIALIZED (SELECT id FROM events
                    WHERE agent_id = $1 AND seq <= $2 AND state = 'waiting'
                        AND type = ANY (ARRAY(SELECT jsonb_array_elements_text($4)))
                        AND seq < coalesce((SELECT MIN(seq) FROM events WHERE agent_id = $1 AND ready_at IS NOT NULL), $2 + 1)
                    ORDER BY seq FOR UPDATE)
                UPDATE events SET state = 'delivered', delivered_at = $3, held_until = NULL, retry_at = NULL, content = NULL
                WHERE id = ANY (ARRAY(SELECT id FROM named))",
            sqlite: "UPDATE events SET state = 'delivered', delivered_at = $3, held_until = NULL, retry_at = NULL, content = NULL
                WHERE agent_id = $1 AND seq <= $2 AND state = 'waiting' AND type IN (SELECT value FROM json_each($4))
                    AND seq < coalesce((SELECT MIN(seq) FROM events WHERE agent_id = $1 AND ready_at IS NOT NULL), $2 + 1)",
        };
        let sql = self.sql(SQL);
        Ok(on_writer!(self, |db| {
            sqlx::query(sql)
                .bind(agent.as_str())
                .bind(cursor)
                .bind(now)
                .bind(Json(kinds))
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?)
    }

    /// Acknowledges all events up to `cursor`. Returns how many of them were waiting. A cursor beyond the end of the log counts
    /// as the end; a cursor before an earlier one changes nothing. The log ends before the first incomplete event: the agent
    /// has seen neither that event nor a later one.
    pub async fn ack_events(&self, agent: &AgentId, cursor: i64, now: Timestamp) -> Result<u64, StoreError> {
        let confirm = self.sql(CONFIRM_UP_TO_CURSOR);
        Ok(on_writer!(self, |db| {
            let mut tx = db.begin().await?;
            sqlx::query(ADVANCE_CURSOR)
                .bind(agent.as_str())
                .bind(cursor)
                .execute(&mut *tx)
                .await?;
            let done = sqlx::query(confirm)
                .bind(agent.as_str())
                .bind(cursor)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            Ok::<_, sqlx::Error>(done.rows_affected())
        })?)
    }
}
