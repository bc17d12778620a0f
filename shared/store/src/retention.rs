//! Forgetting what people said: what an agent has, and what it never came for.

use butt_dial_domain::clock::Timestamp;

use crate::{Store, StoreError, engine::writing};

const PURGED_AT_ONCE: i64 = 500;

impl Store {
    /// Forgets what was said in events older than `before`, delivered or not, and in calls. Returns how many.
    pub async fn purge_contents(&self, before: Timestamp) -> Result<u64, StoreError> {
        // Few at a time: a statement that runs for long is cut off. Who holds one of them has it purged another time.
        const EVENTS: (&str, &str) = (
            "WITH old AS MATERIALIZED (
                SELECT id FROM events WHERE content IS NOT NULL AND created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            ) UPDATE events SET content = NULL, ready_at = NULL FROM old WHERE events.id = old.id",
            "UPDATE events SET content = NULL, ready_at = NULL
            WHERE id IN (SELECT id FROM events WHERE content IS NOT NULL AND created_at < $1 LIMIT $2)",
        );
        const CALLS: (&str, &str) = (
            "WITH old AS MATERIALIZED (
                SELECT id FROM calls WHERE content IS NOT NULL AND created_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
            ) UPDATE calls SET content = NULL FROM old WHERE calls.id = old.id",
            "UPDATE calls SET content = NULL
            WHERE id IN (SELECT id FROM calls WHERE content IS NOT NULL AND created_at < $1 LIMIT $2)",
        );
        let mut purged = 0;
        for (postgres, sqlite) in [EVENTS, CALLS] {
            let sql = self.either(postgres, sqlite);
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
                    break;
                }
            }
        }
        Ok(purged)
    }

    /// Forgets what was said in events that were delivered before `before`, and lingered for whoever was about to read them.
    pub async fn forget_delivered(&self, before: Timestamp) -> Result<u64, StoreError> {
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
