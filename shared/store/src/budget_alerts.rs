//! Alerts about budgets: which budgets have reached a percentage that was not reported yet.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    engine::{on_reader, on_writer},
};

/// A budget that has reached a percentage of its limit.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct BudgetAlert {
    /// `agt:<agent id>` or `org:<organization id>`.
    pub scope: String,
    pub period: String,
    /// Percent.
    pub threshold: i64,
    /// Micro-units.
    pub used: i64,
    pub cap: i64,
    #[sqlx(try_from = "String")]
    pub org_id: OrgId,
}

impl Store {
    /// Lists budgets of these periods that have reached 50, 80 or 100 percent, each percentage that was not recorded yet. The highest
    /// percentage of a budget is first. At most 300.
    pub async fn list_budget_alerts(&self, day: &str, month: &str) -> Result<Vec<BudgetAlert>, StoreError> {
        const SQL: &str = "SELECT s.scope, s.period, t.threshold, s.held + s.settled AS used, s.cap,
                CASE WHEN s.scope LIKE 'org:%' THEN substr(s.scope, 5)
                    ELSE (SELECT a.org_id FROM agents a WHERE a.id = substr(s.scope, 5)) END AS org_id
            FROM spend s JOIN (SELECT CAST(50 AS BIGINT) AS threshold UNION ALL SELECT 80 UNION ALL SELECT 100) t
                ON (s.held + s.settled) * 100 >= t.threshold * s.cap
            WHERE s.period IN ($1, $2) AND s.cap IS NOT NULL AND s.cap > 0
                AND NOT EXISTS (SELECT 1 FROM budget_alerts b
                    WHERE b.scope = s.scope AND b.period = s.period AND b.threshold = t.threshold)
                AND (s.scope LIKE 'org:%' OR EXISTS (SELECT 1 FROM agents a WHERE a.id = substr(s.scope, 5)))
            ORDER BY s.scope, s.period, t.threshold DESC LIMIT 300";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(day)
            .bind(month)
            .fetch_all(db)
            .await)?)
    }

    /// Records that an alert was sent.
    pub async fn record_budget_alert(&self, alert: &BudgetAlert, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO budget_alerts (scope, period, threshold, org_id, created_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(&alert.scope)
            .bind(&alert.period)
            .bind(alert.threshold)
            .bind(alert.org_id.as_str())
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }
}
