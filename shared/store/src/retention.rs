//! Retention: deletes the content of old events and calls and of stored fallbacks, and old rows of tables that grow. Every statement
//! looks at a bounded number of rows, found by an index: one that runs into the statement timeout would never make progress. No
//! row of an organization with a legal hold is deleted.

use std::time::Duration;

use butt_dial_domain::{AgentId, CallId, ChallengeId, MessageId, clock::Timestamp, ids};

use crate::{
    Store, StoreError,
    engine::{Sql, on_reader, on_writer},
};

/// Rows of one statement. Small, because Postgres cancels statements that run longer than the statement timeout.
const BATCH: i64 = 500;
/// Between two batches of a long deletion, so that others get the rows and the disk.
const PAUSE: Duration = Duration::from_millis(10);
/// The ids of audit entries begin with it.
const AUDIT_PREFIX: &str = "aud_";

/// Rows with ids that sort by time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimedRows {
    /// Messages with a known outcome.
    Messages,
    /// Scheduled sends that were sent, have failed or were cancelled.
    ScheduledSends,
    Attempts,
    AuditEntries,
    /// One-time codes, in whatever state.
    Challenges,
    /// Messages that compliance has refused.
    Refusals,
    /// Anomalies that have ended.
    Anomalies,
    /// Announced campaigns.
    Campaigns,
    CallbackAttempts,
}

impl TimedRows {
    fn prefixes(self) -> &'static [&'static str] {
        match self {
            // The message of a call has the id of the call.
            Self::Messages | Self::ScheduledSends | Self::Attempts => &[MessageId::PREFIX, CallId::PREFIX],
            Self::AuditEntries => &[AUDIT_PREFIX],
            Self::Challenges => &[ChallengeId::PREFIX],
            Self::Refusals => &[crate::refusals::REFUSAL_PREFIX],
            Self::Anomalies => &[crate::anomalies::ANOMALY_PREFIX],
            Self::Campaigns => &[crate::campaigns::CAMPAIGN_PREFIX],
            Self::CallbackAttempts => &[crate::callback_attempts::CALLBACK_ATTEMPT_PREFIX],
        }
    }

    /// The last of the next ids after `$1` and before `$2`.
    fn step(self) -> &'static str {
        match self {
            Self::Messages => {
                "SELECT MAX(id) FROM (SELECT id FROM messages WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::ScheduledSends => {
                "SELECT MAX(id) FROM (SELECT id FROM scheduled_sends WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::Attempts => {
                "SELECT MAX(id) FROM (SELECT message_id AS id FROM attempts WHERE message_id > $1 AND message_id < $2
                    ORDER BY message_id LIMIT $3) AS step"
            }
            Self::AuditEntries => {
                "SELECT MAX(id) FROM (SELECT id FROM audit WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::Refusals => {
                "SELECT MAX(id) FROM (SELECT id FROM refusals WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::Anomalies => {
                "SELECT MAX(id) FROM (SELECT id FROM anomalies WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::Campaigns => {
                "SELECT MAX(id) FROM (SELECT id FROM announced_campaigns WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::CallbackAttempts => {
                "SELECT MAX(id) FROM (SELECT id FROM callback_attempts WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
            Self::Challenges => {
                "SELECT MAX(id) FROM (SELECT id FROM challenges WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3) AS step"
            }
        }
    }

    /// Deletes the rows after `$1` up to `$2` that are older than `$3` and no longer needed.
    fn delete(self) -> &'static str {
        match self {
            Self::Messages => {
                "DELETE FROM messages WHERE id > $1 AND id <= $2 AND created_at < $3
                    AND check_at IS NULL AND content IS NULL AND fallback IS NULL
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = messages.org_id)"
            }
            Self::ScheduledSends => {
                "DELETE FROM scheduled_sends WHERE id > $1 AND id <= $2 AND created_at < $3 AND state IN ('sent', 'failed')
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = scheduled_sends.org_id)"
            }
            Self::Attempts => {
                "DELETE FROM attempts WHERE message_id > $1 AND message_id <= $2 AND started_at < $3
                    AND NOT EXISTS (SELECT 1 FROM messages m JOIN legal_holds h ON h.org_id = m.org_id
                        WHERE m.id = attempts.message_id)"
            }
            Self::AuditEntries => {
                "DELETE FROM audit WHERE id > $1 AND id <= $2 AND at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = audit.org_id)"
            }
            Self::Refusals => {
                "DELETE FROM refusals WHERE id > $1 AND id <= $2 AND created_at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = refusals.org_id)"
            }
            Self::Anomalies => "DELETE FROM anomalies WHERE id > $1 AND id <= $2 AND ended_at < $3",
            Self::Campaigns => "DELETE FROM announced_campaigns WHERE id > $1 AND id <= $2 AND ends_at < $3",
            Self::CallbackAttempts => {
                "DELETE FROM callback_attempts WHERE id > $1 AND id <= $2 AND at < $3
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = callback_attempts.org_id)"
            }
            Self::Challenges => "DELETE FROM challenges WHERE id > $1 AND id <= $2 AND created_at < $3",
        }
    }
}

/// Rows that are found by their agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentRows {
    Events,
    Calls,
}

impl AgentRows {
    fn delete(self) -> &'static str {
        match self {
            // The oldest events have the lowest numbers.
            Self::Events => {
                "DELETE FROM events WHERE agent_id = $1 AND created_at < $2
                    AND seq IN (SELECT seq FROM events WHERE agent_id = $1 ORDER BY seq LIMIT $3)"
            }
            Self::Calls => {
                "DELETE FROM calls WHERE id IN (SELECT id FROM calls WHERE agent_id = $1 AND created_at < $2
                    ORDER BY created_at, id LIMIT $3)"
            }
        }
    }
}

impl Store {
    /// Deletes rows that are older than `before`. Returns how many.
    pub async fn delete_timed(&self, rows: TimedRows, before: Timestamp) -> Result<u64, StoreError> {
        let mut deleted = 0;
        for prefix in rows.prefixes() {
            let (mut after, end) = ((*prefix).to_owned(), ids::earliest(prefix, before));
            loop {
                let last: Option<String> = on_reader!(self, |db| sqlx::query_scalar(rows.step())
                    .bind(&after)
                    .bind(&end)
                    .bind(BATCH)
                    .fetch_one(db)
                    .await)?;
                let Some(last) = last else { break };
                deleted += on_writer!(self, |db| sqlx::query(rows.delete())
                    .bind(&after)
                    .bind(&last)
                    .bind(before)
                    .execute(db)
                    .await
                    .map(|done| done.rows_affected()))?;
                after = last;
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(deleted)
    }

    /// Deletes rows of all agents that are older than `before`. Returns how many.
    pub async fn delete_of_agents(&self, rows: AgentRows, before: Timestamp) -> Result<u64, StoreError> {
        const AGENTS: &str = "SELECT id FROM agents WHERE id > $1
            AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = agents.org_id) ORDER BY id LIMIT $2";
        let (mut deleted, mut after) = (0, String::new());
        loop {
            let agents: Vec<String> = on_reader!(self, |db| sqlx::query_scalar(AGENTS)
                .bind(&after)
                .bind(BATCH)
                .fetch_all(db)
                .await)?;
            let Some(last) = agents.last() else { return Ok(deleted) };
            after.clone_from(last);
            for agent in agents {
                deleted += self.delete_of_agent(rows, &AgentId::from(agent), before).await?;
            }
        }
    }

    async fn delete_of_agent(&self, rows: AgentRows, agent: &AgentId, before: Timestamp) -> Result<u64, StoreError> {
        let mut deleted = 0;
        loop {
            let done = on_writer!(self, |db| sqlx::query(rows.delete())
                .bind(agent.as_str())
                .bind(before)
                .bind(BATCH)
                .execute(db)
                .await
                .map(|done| done.rows_affected()))?;
            deleted += done;
            if done < BATCH.unsigned_abs() {
                return Ok(deleted);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Deletes the content of events older than `before`, delivered or not, and of calls. Returns how many.
    pub async fn purge_contents(&self, before: Timestamp) -> Result<u64, StoreError> {
        // Locked rows are skipped; the next purge deletes their content.
        const EVENTS: Sql = Sql {
            postgres: "WITH old AS MATERIALIZED (
                    SELECT id FROM events WHERE content IS NOT NULL AND created_at < $1
                    AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id) LIMIT $2 FOR UPDATE SKIP LOCKED
                ) UPDATE events SET content = NULL, ready_at = NULL FROM old WHERE events.id = old.id",
            sqlite: "UPDATE events SET content = NULL, ready_at = NULL
                WHERE id IN (SELECT id FROM events WHERE content IS NOT NULL AND created_at < $1
                    AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id) LIMIT $2)",
        };
        const CALLS: Sql = Sql {
            postgres: "WITH old AS MATERIALIZED (
                    SELECT id FROM calls WHERE content IS NOT NULL AND created_at < $1
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = calls.org_id) LIMIT $2 FOR UPDATE SKIP LOCKED
                ) UPDATE calls SET content = NULL FROM old WHERE calls.id = old.id",
            sqlite: "UPDATE calls SET content = NULL
                WHERE id IN (SELECT id FROM calls WHERE content IS NOT NULL AND created_at < $1
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = calls.org_id) LIMIT $2)",
        };
        let events = self.purge(self.sql(EVENTS), before).await?;
        let calls = self.purge(self.sql(CALLS), before).await?;
        Ok(events + calls)
    }

    /// Deletes the stored fallbacks of messages older than `before`. Returns how many.
    pub async fn purge_fallbacks(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: Sql = Sql {
            postgres: "WITH old AS MATERIALIZED (
                    SELECT id FROM messages WHERE fallback IS NOT NULL AND created_at < $1
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = messages.org_id) LIMIT $2
                    FOR UPDATE SKIP LOCKED
                ) UPDATE messages SET fallback = NULL FROM old WHERE messages.id = old.id",
            sqlite: "UPDATE messages SET fallback = NULL
                WHERE id IN (SELECT id FROM messages WHERE fallback IS NOT NULL AND created_at < $1
                    AND NOT EXISTS (SELECT 1 FROM legal_holds h WHERE h.org_id = messages.org_id) LIMIT $2)",
        };
        self.purge(self.sql(SQL), before).await
    }

    /// Repeats the statement until it changes fewer than `BATCH` rows. Returns the sum.
    async fn purge(&self, sql: &'static str, before: Timestamp) -> Result<u64, StoreError> {
        let mut purged = 0;
        loop {
            let done: u64 = on_writer!(self, |db| {
                sqlx::query(sql)
                    .bind(before)
                    .bind(BATCH)
                    .execute(db)
                    .await
                    .map(|done| done.rows_affected())
            })?;
            purged += done;
            if done < BATCH.unsigned_abs() {
                return Ok(purged);
            }
        }
    }

    /// Deletes the content of events that were delivered before `before` and kept it (`confirm_events` with `retain_body`).
    pub async fn purge_delivered(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: Sql = Sql {
            postgres: "WITH old AS MATERIALIZED (
                    SELECT id FROM events WHERE content IS NOT NULL AND state = 'delivered' AND delivered_at < $1
                    AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id) LIMIT $2
                    FOR UPDATE SKIP LOCKED
                ) UPDATE events SET content = NULL FROM old WHERE events.id = old.id",
            sqlite: "UPDATE events SET content = NULL WHERE id IN (SELECT id FROM events
                WHERE content IS NOT NULL AND state = 'delivered' AND delivered_at < $1
                    AND NOT EXISTS (SELECT 1 FROM agents a JOIN legal_holds h ON h.org_id = a.org_id WHERE a.id = events.agent_id)
                LIMIT $2)",
        };
        self.purge(self.sql(SQL), before).await
    }
}
