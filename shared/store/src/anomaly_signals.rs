//! Signs of abuse that anomalies are found in: refused destinations, guessed codes, replaced tokens, opt-outs, complaints and budgets.

use butt_dial_domain::{clock::Timestamp, limits::Limits};

use crate::{
    Store, StoreError,
    engine::{Sql, on_reader},
};

/// A number of an agent, or of an organization.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Counted {
    pub org_id: String,
    pub agent_id: Option<String>,
    pub count: i64,
}

/// One-time codes of an agent or, without one, of an organization.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CodeCount {
    pub org_id: String,
    pub agent_id: Option<String>,
    pub sent: i64,
    pub confirmed: i64,
    /// Not confirmed, and their tries are used up.
    pub exhausted: i64,
    /// Tries with a wrong code.
    pub wrong: i64,
}

/// A part of the messages of an organization.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Share {
    pub org_id: String,
    pub count: i64,
    /// Messages since the same day.
    pub total: i64,
}

/// A budget with what is used of it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct BudgetUse {
    pub org_id: String,
    /// `None`: of the organization.
    pub agent_id: Option<String>,
    pub period: String,
    /// Micro-units.
    pub used: i64,
    pub cap: i64,
}

const REFUSED: Sql = Sql {
    postgres: "SELECT o.id AS org_id, t.agent_id, t.count FROM organizations o CROSS JOIN LATERAL (
            SELECT r.agent_id, COUNT(*) AS count FROM (SELECT agent_id, ruling, created_at FROM refusals
                WHERE org_id = o.id ORDER BY id DESC LIMIT 500) AS r
            WHERE r.created_at >= $1 AND (r.ruling LIKE '%\"kind\":\"premium\"%' OR r.ruling LIKE '%\"kind\":\"satellite\"%')
            GROUP BY r.agent_id) AS t",
    // SQLite has no LATERAL: the newest refusals of each organization by a window function would read all of them.
    sqlite: "SELECT r.org_id, r.agent_id, COUNT(*) AS count FROM (SELECT org_id, agent_id, ruling, created_at FROM refusals
            ORDER BY id DESC LIMIT 5000) AS r
        WHERE r.created_at >= $1 AND (r.ruling LIKE '%\"kind\":\"premium\"%' OR r.ruling LIKE '%\"kind\":\"satellite\"%')
        GROUP BY r.org_id, r.agent_id",
};

const TOKEN_CHANGES: Sql = Sql {
    postgres: "SELECT o.id AS org_id, NULL::TEXT AS agent_id, t.count FROM organizations o CROSS JOIN LATERAL (
            SELECT COUNT(*) AS count FROM audit a WHERE a.org_id = o.id AND a.at >= $1
                AND a.action IN ('token.rotate', 'token.regenerate', 'token.reveal')) AS t WHERE t.count > 0",
    sqlite: "SELECT o.id AS org_id, NULL AS agent_id, COUNT(*) AS count
        FROM organizations o CROSS JOIN audit a ON a.org_id = o.id WHERE a.at >= $1
            AND a.action IN ('token.rotate', 'token.regenerate', 'token.reveal') GROUP BY o.id",
};

impl Store {
    /// Counts the refused messages and calls to premium and satellite numbers since a time, among the newest refusals.
    pub async fn count_refused_premium(&self, from: Timestamp) -> Result<Vec<Counted>, StoreError> {
        let sql = self.sql(REFUSED);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(from)
            .fetch_all(db)
            .await)?)
    }

    /// Sums the one-time codes since a time. A code has `max_tries`.
    pub async fn sum_codes(&self, from: Timestamp, max_tries: i64) -> Result<Vec<CodeCount>, StoreError> {
        const SQL: &str = "SELECT org_id, agent_id, COUNT(*) AS sent,
                CAST(SUM(CASE WHEN state = 'confirmed' THEN 1 ELSE 0 END) AS BIGINT) AS confirmed,
                CAST(SUM(CASE WHEN state <> 'confirmed' AND tries >= $2 THEN 1 ELSE 0 END) AS BIGINT) AS exhausted,
                CAST(SUM(CASE WHEN state = 'confirmed' THEN tries - 1 ELSE tries END) AS BIGINT) AS wrong
            FROM challenges WHERE created_at >= $1 GROUP BY org_id, agent_id";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(from)
            .bind(max_tries)
            .fetch_all(db)
            .await)?)
    }

    /// Counts how often organizations have replaced tokens since a time.
    pub async fn count_token_changes(&self, from: Timestamp) -> Result<Vec<Counted>, StoreError> {
        let sql = self.sql(TOKEN_CHANGES);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(from)
            .fetch_all(db)
            .await)?)
    }

    /// Counts the people who have opted out since the beginning of a day, of those organizations in which someone has.
    pub async fn count_opt_outs(&self, from: Timestamp, day: &str) -> Result<Vec<Share>, StoreError> {
        const SQL: &str = "SELECT c.org_id, c.count, coalesce((SELECT CAST(SUM(u.messages) AS BIGINT) FROM usage u
                WHERE u.org_id = c.org_id AND u.day >= $2), 0) AS total
            FROM (SELECT org_id, COUNT(DISTINCT address) AS count FROM consents
                WHERE status = 'revoked' AND updated_at >= $1 GROUP BY org_id) AS c";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(from)
            .bind(day)
            .fetch_all(db)
            .await)?)
    }

    /// Counts the mails that were reported as spam since the beginning of a day.
    pub async fn count_complaints(&self, from: Timestamp, day: &str) -> Result<Vec<Share>, StoreError> {
        const SQL: &str = "SELECT c.org_id, c.count, coalesce((SELECT CAST(SUM(u.messages) AS BIGINT) FROM usage u
                WHERE u.org_id = c.org_id AND u.day >= $2 AND u.channel = 'email'), 0) AS total
            FROM (SELECT org_id, COUNT(*) AS count FROM messages
                WHERE complained_at >= $1 GROUP BY org_id) AS c";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(from)
            .bind(day)
            .fetch_all(db)
            .await)?)
    }

    /// Lists the budgets of a day and a month that something was spent of. `default` are the limits of agents without their own.
    pub async fn list_budget_use(
        &self,
        day: &str,
        month: &str,
        default: &Limits,
    ) -> Result<Vec<BudgetUse>, StoreError> {
        const SQL: &str = "SELECT b.org_id, b.agent_id, b.period, b.used, b.cap
            FROM (SELECT s.period, s.held + s.settled AS used,
                    CASE WHEN s.scope LIKE 'agt:%' THEN substr(s.scope, 5) END AS agent_id,
                    CASE WHEN l.scope IS NULL AND s.scope LIKE 'agt:%'
                        THEN CASE WHEN s.period = $1 THEN CAST($3 AS BIGINT) ELSE CAST($4 AS BIGINT) END
                        WHEN s.period = $1 THEN l.max_spend_per_day ELSE l.max_spend_per_month END AS cap,
                    CASE WHEN s.scope LIKE 'org:%' THEN substr(s.scope, 5)
                        WHEN s.scope LIKE 'agt:%' THEN (SELECT a.org_id FROM agents a WHERE a.id = substr(s.scope, 5))
                    END AS org_id
                FROM spend s LEFT JOIN limits l ON l.scope = s.scope WHERE s.period IN ($1, $2)) AS b
            WHERE b.cap > 0 AND b.used > 0 AND b.org_id IS NOT NULL";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(day)
            .bind(month)
            .bind(default.max_spend_per_day.map(|limit| limit.0))
            .bind(default.max_spend_per_month.map(|limit| limit.0))
            .fetch_all(db)
            .await)?)
    }
}
