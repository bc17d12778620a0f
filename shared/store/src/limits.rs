//! Limits that were set for an agent or an organization. Defaults are in the settings, not in the database.

use butt_dial_domain::{Micros, clock::Timestamp, limits::Limits};
use serde::Deserialize;

use crate::{Change, Store, StoreError, change::on_change, engine::on_reader};

#[derive(Deserialize, sqlx::FromRow)]
pub(crate) struct LimitsRow {
    max_actions_per_minute: Option<i64>,
    max_actions_per_hour: Option<i64>,
    max_actions_per_day: Option<i64>,
    max_spend_per_day: Option<i64>,
    max_spend_per_month: Option<i64>,
}

impl From<LimitsRow> for Limits {
    fn from(row: LimitsRow) -> Self {
        let actions = |value: Option<i64>| value.map(|v| u32::try_from(v).unwrap_or(u32::MAX));
        Self {
            max_actions_per_minute: actions(row.max_actions_per_minute),
            max_actions_per_hour: actions(row.max_actions_per_hour),
            max_actions_per_day: actions(row.max_actions_per_day),
            max_spend_per_day: row.max_spend_per_day.map(Micros),
            max_spend_per_month: row.max_spend_per_month.map(Micros),
        }
    }
}

impl Store {
    /// Finds the limits of a scope. `None`: never set.
    pub async fn find_limits(&self, scope: &str) -> Result<Option<Limits>, StoreError> {
        const SQL: &str = "SELECT max_actions_per_minute, max_actions_per_hour, max_actions_per_day, max_spend_per_day,
            max_spend_per_month FROM limits WHERE scope = $1";
        let row: Option<LimitsRow> = on_reader!(self, |db| sqlx::query_as(SQL).bind(scope).fetch_optional(db).await)?;
        Ok(row.map(Limits::from))
    }
}

impl Change {
    /// Sets the limits of a scope: `agt:<agent id>` or `org:<organization id>`.
    pub async fn set_limits(&self, scope: &str, limits: &Limits, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO limits (scope, max_actions_per_minute, max_actions_per_hour, max_actions_per_day,
                max_spend_per_day, max_spend_per_month, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (scope) DO UPDATE SET max_actions_per_minute = excluded.max_actions_per_minute,
                max_actions_per_hour = excluded.max_actions_per_hour, max_actions_per_day = excluded.max_actions_per_day,
                max_spend_per_day = excluded.max_spend_per_day, max_spend_per_month = excluded.max_spend_per_month,
                updated_at = excluded.updated_at";
        on_change!(self, |db| {
            sqlx::query(SQL)
                .bind(scope)
                .bind(limits.max_actions_per_minute.map(i64::from))
                .bind(limits.max_actions_per_hour.map(i64::from))
                .bind(limits.max_actions_per_day.map(i64::from))
                .bind(limits.max_spend_per_day.map(|m| m.0))
                .bind(limits.max_spend_per_month.map(|m| m.0))
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(())
    }
}
