//! Forgetting what people said: what an agent has, and what it never came for.

use butt_dial_domain::clock::Timestamp;

use crate::{Store, StoreError, engine::writing};

const PURGED_AT_ONCE: i64 = 500;

impl Store {
    /// Forgets what was said in events older than `before`, delivered or not, and in calls. Returns how many.
    pub async fn purge_contents(&self, before: Timestamp) -> Result<u64, StoreError> {
        // Few at a time: a statement that runs for long is cut off. Who holds one of them has it purged another time.
        const EVENTS: &str = "WITH old AS MATERIALIZED (
                SELECT id FROM events WHERE content IS NOT NULL AND created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            ) UPDATE events SET content = NULL, ready_at = NULL FROM old WHERE events.id = old.id";
        const EVENTS_IN_SQLITE: &str = "UPDATE events SET content = NULL, ready_at = NULL
            WHERE id IN (SELECT id FROM events WHERE content IS NOT NULL AND created_at < $1 LIMIT $2)";
        const CALLS: &str = "WITH old AS MATERIALIZED (
                SELECT id FROM calls WHERE content IS NOT NULL AND created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            ) UPDATE calls SET content = NULL FROM old WHERE calls.id = old.id";
        const CALLS_IN_SQLITE: &str = "UPDATE calls SET content = NULL
            WHERE id IN (SELECT id FROM calls WHERE content IS NOT NULL AND created_at < $1 LIMIT $2)";
        let events = self.purge(self.either(EVENTS, EVENTS_IN_SQLITE), before).await?;
        let calls = self.purge(self.either(CALLS, CALLS_IN_SQLITE), before).await?;
        Ok(events + calls)
    }

    /// Forgets what was kept of messages older than `before` for the case that they fail.
    pub async fn purge_fallbacks(&self, before: Timestamp) -> Result<u64, StoreError> {
        const MESSAGES: &str = "WITH old AS MATERIALIZED (
                SELECT id FROM messages WHERE fallback IS NOT NULL AND created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            ) UPDATE messages SET fallback = NULL FROM old WHERE messages.id = old.id";
        const MESSAGES_IN_SQLITE: &str = "UPDATE messages SET fallback = NULL
            WHERE id IN (SELECT id FROM messages WHERE fallback IS NOT NULL AND created_at < $1 LIMIT $2)";
        self.purge(self.either(MESSAGES, MESSAGES_IN_SQLITE), before).await
    }

    async fn purge(&self, sql: &'static str, before: Timestamp) -> Result<u64, StoreError> {
        let mut purged = 0;
        loop {
            let done: u64 = writing!(self, |db| {
                sqlx::query(sql)
                    .bind(before)
                    .bind(PURGED_AT_ONCE)
                    .execute(db)
                    .await
                    .map(|done| done.rows_affected())
            })?;
            purged += done;
            if done < PURGED_AT_ONCE.unsigned_abs() {
                return Ok(purged);
            }
        }
    }

    /// Forgets what was said in events that were delivered before `before`, and lingered for whoever was about to read them.
    pub async fn purge_delivered(&self, before: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "UPDATE events SET content = NULL
            WHERE content IS NOT NULL AND state = 'delivered' AND delivered_at < $1";
        Ok(writing!(self, |db| {
            sqlx::query(SQL)
                .bind(before)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?)
    }
}
