//! Alerts about budgets: which budgets have reached a percentage that was not reported yet.

use butt_dial_domain::{OrgId, clock::Timestamp, limits::Limits};

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
    /// Lists budgets of a day and a month that have reached 50, 80 or 100 percent, each percentage that was not recorded yet. The
    /// highest percentage of a budget is first. At most 300. `default` are the limits of agents without their own.
    pub async fn list_budget_alerts(
        &self,
        day: &str,
        month: &str,
        default: &Limits,
    ) -> Result<Vec<BudgetAlert>, StoreError> {
        const SQL: &str = "SELECT b.scope, b.period, t.threshold, b.used, b.cap, b.org_id
            FROM (SELECT s.scope, s.period, s.held + s.settled AS used,
                    CASE WHEN l.scope IS NULL AND s.scope LIKE 'agt:%'
                        THEN CASE WHEN s.period = $1 THEN CAST($3 AS BIGINT) ELSE CAST($4 AS BIGINT) END
                        WHEN s.period = $1 THEN l.max_spend_per_day ELSE l.max_spend_per_month END AS cap,
                    CASE WHEN s.scope LIKE 'org:%' THEN substr(s.scope, 5)
                        ELSE (SELECT a.org_id FROM agents a WHERE a.id = substr(s.scope, 5)) END AS org_id
                FROM spend s LEFT JOIN limits l ON l.scope = s.scope WHERE s.period IN ($1, $2)) AS b
            JOIN (SELECT CAST(50 AS BIGINT) AS threshold UNION ALL SELECT 80 UNION ALL SELECT 100) AS t
                ON b.used * 100 >= t.threshold * b.cap
            WHERE b.cap > 0 AND b.org_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM budget_alerts d
                WHERE d.scope = b.scope AND d.period = b.period AND d.threshold = t.threshold)
            ORDER BY b.scope, b.period, t.threshold DESC LIMIT 300";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(day)
            .bind(month)
            .bind(default.max_spend_per_day.map(|limit| limit.0))
            .bind(default.max_spend_per_month.map(|limit| limit.0))
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
