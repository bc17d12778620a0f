//! Retention: deletes the content of old events and calls, and of stored fallbacks.

use butt_dial_domain::clock::Timestamp;

use crate::{
    Store, StoreError,
    engine::{Sql, on_writer},
};

/// Rows of one statement. Small, because Postgres cancels statements that run longer than the statement timeout.
const BATCH: i64 = 500;

impl Store {
    /// Deletes the content of events older than `before`, delivered or not, and of calls. Returns how many.
    pub async fn purge_contents(&self, before: Timestamp) -> Result<u64, StoreError> {
        // Locked rows are skipped; the next purge deletes their content.
        const EVENTS: Sql = Sql {
            postgres: "WITH old AS MATERIALIZED (
                    SELECT id FROM events WHERE content IS NOT NULL AND created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
                ) UPDATE events SET content = NULL, ready_at = NULL FROM old WHERE events.id = old.id",
            sqlite: "UPDATE events SET content = NULL, ready_at = NULL
                WHERE id IN (SELECT id FROM events WHERE content IS NOT NULL AND created_at < $1 LIMIT $2)",
        };
        const CALLS: Sql = Sql {
            postgres: "WITH old AS MATERIALIZED (
                    SELECT id FROM calls WHERE content IS NOT NULL AND created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
                ) UPDATE calls SET content = NULL FROM old WHERE calls.id = old.id",
            sqlite: "UPDATE calls SET content = NULL
                WHERE id IN (SELECT id FROM calls WHERE content IS NOT NULL AND created_at < $1 LIMIT $2)",
        };
        let events = self.purge(self.sql(EVENTS), before).await?;
        let calls = self.purge(self.sql(CALLS), before).await?;
        Ok(events + calls)
    }

    /// Deletes the stored fallbacks of messages older than `before`. Returns how many.
    pub async fn purge_fallbacks(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: Sql = Sql {
            postgres: "WITH old AS MATERIALIZED (
                    SELECT id FROM messages WHERE fallback IS NOT NULL AND created_at < $1 LIMIT $2
                    FOR UPDATE SKIP LOCKED
                ) UPDATE messages SET fallback = NULL FROM old WHERE messages.id = old.id",
            sqlite: "UPDATE messages SET fallback = NULL
                WHERE id IN (SELECT id FROM messages WHERE fallback IS NOT NULL AND created_at < $1 LIMIT $2)",
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
                    SELECT id FROM events WHERE content IS NOT NULL AND state = 'delivered' AND delivered_at < $1 LIMIT $2
                    FOR UPDATE SKIP LOCKED
                ) UPDATE events SET content = NULL FROM old WHERE events.id = old.id",
            sqlite: "UPDATE events SET content = NULL WHERE id IN (SELECT id FROM events
                WHERE content IS NOT NULL AND state = 'delivered' AND delivered_at < $1 LIMIT $2)",
        };
        self.purge(self.sql(SQL), before).await
    }
}
