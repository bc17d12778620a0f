//! Usage and spend counters per day. The cost of reading them does not depend on the number of messages.

use butt_dial_domain::{AgentId, OrgId};

use crate::{
    Store, StoreError,
    engine::{on_list, on_reader},
};

/// The usage of an agent on one channel in a range of days.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct UsageRow {
    pub channel: String,
    pub messages: i64,
    /// Micro-units.
    pub cost: i64,
}

/// The usage of an organization on one channel on one day.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct DailyUsage {
    pub day: String,
    pub channel: String,
    pub messages: i64,
    /// Micro-units.
    pub cost: i64,
}

/// The spend of a scope in a period, in micro-units.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Spend {
    pub scope: String,
    pub period: String,
    pub held: i64,
    pub settled: i64,
}

impl Store {
    /// Sums the usage per channel from the day `from` to the day `to`, both included (`2026-11-22`).
    pub async fn sum_usage(&self, agent: &AgentId, from: &str, to: &str) -> Result<Vec<UsageRow>, StoreError> {
        const SQL: &str = "SELECT channel, CAST(SUM(messages) AS BIGINT) AS messages, CAST(SUM(cost) AS BIGINT) AS cost
            FROM usage WHERE agent_id = $1 AND day >= $2 AND day <= $3 GROUP BY channel ORDER BY channel";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(agent.as_str())
                .bind(from)
                .bind(to)
                .fetch_all(db)
                .await
        })?)
    }

    /// Lists the spend of a scope for a day and a month. A period without spend has no row.
    pub async fn list_spend(&self, scope: &str, day: &str, month: &str) -> Result<Vec<Spend>, StoreError> {
        const SQL: &str = "SELECT scope, period, held, settled FROM spend WHERE scope = $1 AND period IN ($2, $3)";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(scope)
                .bind(day)
                .bind(month)
                .fetch_all(db)
                .await
        })?)
    }

    /// Lists the usage of an organization per day and channel, from the day `from` to the day `to`, both included.
    pub async fn list_daily_usage(&self, org: &OrgId, from: &str, to: &str) -> Result<Vec<DailyUsage>, StoreError> {
        const SQL: &str =
            "SELECT day, channel, CAST(SUM(messages) AS BIGINT) AS messages, CAST(SUM(cost) AS BIGINT) AS cost
            FROM usage WHERE org_id = $1 AND day >= $2 AND day <= $3 GROUP BY day, channel ORDER BY day, channel";
        Ok(on_list!(self, |db| {
            sqlx::query_as(SQL)
                .bind(org.as_str())
                .bind(from)
                .bind(to)
                .fetch_all(db)
                .await
        })?)
    }
}
