//! Retention: deletes the content of old events and calls and of stored fallbacks, and old rows of tables that grow. Every statement
//! looks at a bounded number of rows, found by an index: one that runs into the statement timeout would never make progress. No
//! row of an organization with a legal hold is deleted by the statements here; `expiring_rows.rs` deletes those that are about no
//! held person.

use std::time::Duration;

use butt_dial_domain::{AgentId, clock::Timestamp, ids};

use crate::{
    Store, StoreError,
    engine::{Sql, on_reader, on_writer},
    expiring_rows::ExpiringColumn,
    timed_rows::TimedRows,
};

/// Rows of one statement. Small, because Postgres cancels statements that run longer than the statement timeout.
const BATCH: i64 = 500;
/// Between two batches of a long deletion, so that others get the rows and the disk.
const PAUSE: Duration = Duration::from_millis(10);

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
        let holds = self.list_person_holds().await?;
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
                deleted += self.delete_free_timed(rows, (&after, &last), before, &holds).await?;
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
            let Some(last) = agents.last() else { break };
            after.clone_from(last);
            for agent in agents {
                deleted += self.delete_of_agent(rows, &AgentId::from(agent), before).await?;
            }
        }
        let holds = self.list_person_holds().await?;
        deleted += match rows {
            AgentRows::Events => self.delete_free_events(before, &holds).await?,
            AgentRows::Calls => self.expire_free(ExpiringColumn::Calls, before, &holds).await?,
        };
        Ok(deleted)
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
        let holds = self.list_person_holds().await?;
        let events = events + self.expire_free(ExpiringColumn::EventContents, before, &holds).await?;
        let calls = calls + self.expire_free(ExpiringColumn::CallContents, before, &holds).await?;
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
        let purged = self.purge(self.sql(SQL), before).await?;
        let holds = self.list_person_holds().await?;
        Ok(purged + self.expire_free(ExpiringColumn::Fallbacks, before, &holds).await?)
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

    /// Deletes the content of events that were delivered before `before` and kept it (`confirm_events` with `retain_body`). Returns how many.
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
        let purged = self.purge(self.sql(SQL), before).await?;
        let holds = self.list_person_holds().await?;
        Ok(purged
            + self
                .expire_free(ExpiringColumn::DeliveredContents, before, &holds)
                .await?)
    }
}
