//! The work that waits, for the metrics: how much, and for how long.

use butt_dial_domain::clock::Timestamp;

use crate::{Store, StoreError, engine::on_reader};

/// A larger backlog is counted as this many: counting has a cost, and the answer is the same.
pub const MAX_COUNT: i64 = 10_000;

/// The kind of waiting work.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr, strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum BacklogKind {
    /// Scheduled sends that are due.
    Scheduled,
    /// Sends with an unknown outcome that are due for the next check.
    Unknown,
    /// Agents with a delivery that is due.
    Deliveries,
    /// Inbound events that no agent has received.
    Waiting,
    DeadLetters,
    /// Webhooks about accounts that no host has accepted.
    DeadNotices,
    /// Orders of senders that could not be undone.
    StuckOrders,
}

/// A measured backlog.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Backlog {
    kind: String,
    /// At most `MAX_COUNT`.
    pub count: i64,
    /// The time since which the oldest item waits; `None` if there is none.
    pub oldest: Option<Timestamp>,
}

impl Backlog {
    pub fn kind(&self) -> Option<BacklogKind> {
        self.kind.parse().ok()
    }
}

impl Store {
    /// Measures every backlog of the installation.
    pub async fn measure_backlogs(&self, now: Timestamp) -> Result<Vec<Backlog>, StoreError> {
        // Each count and each minimum reads at most `$2` entries of an index.
        const SQL: &str = "
            SELECT 'scheduled' AS kind,
                (SELECT COUNT(*) FROM (SELECT 1 FROM scheduled_sends
                    WHERE state IN ('scheduled', 'cancelled') AND due_at <= $1 LIMIT $2) AS s) AS count,
                (SELECT MIN(due_at) FROM scheduled_sends
                    WHERE state IN ('scheduled', 'cancelled') AND due_at <= $1) AS oldest
            UNION ALL SELECT 'unknown',
                (SELECT COUNT(*) FROM (SELECT 1 FROM messages WHERE check_at IS NOT NULL AND check_at <= $1 LIMIT $2) AS m),
                (SELECT MIN(check_at) FROM messages WHERE check_at IS NOT NULL AND check_at <= $1)
            UNION ALL SELECT 'deliveries',
                (SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE due_at IS NOT NULL AND due_at <= $1 LIMIT $2) AS d),
                (SELECT MIN(due_at) FROM deliveries WHERE due_at IS NOT NULL AND due_at <= $1)
            UNION ALL SELECT 'waiting',
                (SELECT COUNT(*) FROM (SELECT 1 FROM events WHERE state = 'waiting' LIMIT $2) AS e),
                (SELECT created_at FROM events WHERE content IS NOT NULL AND state = 'waiting' ORDER BY created_at LIMIT 1)
            UNION ALL SELECT 'dead_letters',
                (SELECT COUNT(*) FROM (SELECT 1 FROM dead_letters LIMIT $2) AS l),
                (SELECT MIN(created_at) FROM dead_letters)
            UNION ALL SELECT 'dead_notices',
                (SELECT COUNT(*) FROM (SELECT 1 FROM account_notices WHERE state = 'dead' LIMIT $2) AS n),
                (SELECT MIN(created_at) FROM account_notices WHERE state = 'dead')
            UNION ALL SELECT 'stuck_orders',
                (SELECT COUNT(*) FROM (SELECT 1 FROM sender_orders WHERE state = 'stuck' LIMIT $2) AS o),
                (SELECT MIN(updated_at) FROM sender_orders WHERE state = 'stuck')";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(now)
            .bind(MAX_COUNT)
            .fetch_all(db)
            .await)?)
    }
}
