//! The ways of alerts to people, and the notifications that wait for each.

use butt_dial_domain::{OrgId, clock::Timestamp};

use crate::{
    Alert, Change, Severity, Store, StoreError,
    change::on_change,
    engine::{on_reader, on_writer},
};

/// A way to people.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct AlertRoute {
    pub id: String,
    pub org_id: Option<String>,
    /// email, sms, webhook, pagerduty or slack.
    pub kind: String,
    /// Encrypted.
    pub target: Vec<u8>,
    pub hint: String,
    pub severity: Severity,
    pub is_escalation: bool,
    pub quiet_from: Option<i64>,
    pub quiet_until: Option<i64>,
    pub created_at: Timestamp,
    pub window_at: Option<Timestamp>,
    pub window_count: i64,
    pub free_at: Timestamp,
}

/// A message about an alert that is not sent yet.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Notification {
    #[sqlx(flatten)]
    pub alert: Alert,
    pub reason: String,
    pub tries: i64,
}

impl Change {
    pub async fn create_alert_route(&self, route: &AlertRoute) -> Result<(), StoreError> {
        const SQL: &str =
            "INSERT INTO alert_routes (id, org_id, kind, target, hint, severity, is_escalation, quiet_from,
                quiet_until, created_at, window_count, free_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $10)";
        on_change!(self, |db| sqlx::query(SQL)
            .bind(&route.id)
            .bind(&route.org_id)
            .bind(&route.kind)
            .bind(&route.target)
            .bind(&route.hint)
            .bind(<&str>::from(route.severity))
            .bind(route.is_escalation)
            .bind(route.quiet_from)
            .bind(route.quiet_until)
            .bind(route.created_at)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(())
    }

    /// Replaces the settings of a route. Returns whether it exists.
    pub async fn update_alert_route(&self, route: &AlertRoute) -> Result<bool, StoreError> {
        const SQL: &str =
            "UPDATE alert_routes SET target = $3, hint = $4, severity = $5, is_escalation = $6, quiet_from = $7,
                quiet_until = $8 WHERE id = $1 AND coalesce(org_id, 'installation') = coalesce($2, 'installation')";
        let done = on_change!(self, |db| sqlx::query(SQL)
            .bind(&route.id)
            .bind(&route.org_id)
            .bind(&route.target)
            .bind(&route.hint)
            .bind(<&str>::from(route.severity))
            .bind(route.is_escalation)
            .bind(route.quiet_from)
            .bind(route.quiet_until)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done > 0)
    }

    /// Deletes a route. Returns whether it existed. Its notifications stay; the caller deletes them.
    pub async fn delete_alert_route(&self, org: Option<&OrgId>, id: &str) -> Result<bool, StoreError> {
        const SQL: &str = "DELETE FROM alert_routes WHERE id = $1 AND coalesce(org_id, 'installation') = $2";
        let done = on_change!(self, |db| sqlx::query(SQL)
            .bind(id)
            .bind(org.map_or("installation", OrgId::as_str))
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(done > 0)
    }
}

impl Store {
    /// Lists the routes of an organization, or of the installation, oldest first.
    pub async fn list_alert_routes(&self, org: Option<&OrgId>) -> Result<Vec<AlertRoute>, StoreError> {
        const SQL: &str = "SELECT id, org_id, kind, target, hint, severity, is_escalation, quiet_from, quiet_until,
            created_at, window_at, window_count, free_at
            FROM alert_routes WHERE coalesce(org_id, 'installation') = $1 ORDER BY id";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.map_or("installation", OrgId::as_str))
            .fetch_all(db)
            .await)?)
    }

    /// Lists routes with due notifications.
    pub async fn list_due_routes(&self, now: Timestamp, limit: u32) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "SELECT DISTINCT route_id FROM (SELECT route_id FROM alert_notifications WHERE due_at <= $1
            ORDER BY due_at, route_id LIMIT $2) AS due";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Claims a route that may send now, until `until`. `None`: it may not, another process has claimed it, or it was deleted.
    pub async fn claim_alert_route(
        &self,
        id: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<AlertRoute>, StoreError> {
        const SQL: &str = "UPDATE alert_routes SET free_at = $3 WHERE id = $1 AND free_at <= $2
            RETURNING id, org_id, kind, target, hint, severity, is_escalation, quiet_from, quiet_until, created_at, window_at,
                window_count, free_at";
        Ok(on_writer!(self, |db| sqlx::query_as(SQL)
            .bind(id)
            .bind(now)
            .bind(until)
            .fetch_optional(db)
            .await)?)
    }

    /// Sets when a claimed route may send again, and what it has sent in its hour.
    pub async fn release_alert_route(
        &self,
        id: &str,
        free_at: Timestamp,
        window: Option<(Timestamp, i64)>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE alert_routes SET free_at = $2, window_at = coalesce($3, window_at),
            window_count = coalesce($4, window_count) WHERE id = $1";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(id)
            .bind(free_at)
            .bind(window.map(|(at, _)| at))
            .bind(window.map(|(_, count)| count))
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Lists due notifications of a route, the most urgent and oldest first, with the number of all.
    pub async fn list_notifications(
        &self,
        route: &str,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<Notification>, i64), StoreError> {
        const SQL: &str = "SELECT a.id, a.org_id, a.kind, a.fingerprint, a.severity, a.title, a.evidence, a.state, a.occurrences,
                a.first_at, a.last_at, a.changed_by, a.changed_at, n.reason, n.tries
            FROM alert_notifications n JOIN alerts a ON a.id = n.alert_id WHERE n.route_id = $1 AND n.due_at <= $2
            ORDER BY CASE a.severity WHEN 'critical' THEN 0 WHEN 'high' THEN 1 WHEN 'medium' THEN 2 ELSE 3 END, a.id LIMIT $3";
        const COUNT: &str = "SELECT COUNT(*) FROM alert_notifications WHERE route_id = $1 AND due_at <= $2";
        let rows = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(route)
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?;
        let count = on_reader!(self, |db| sqlx::query_scalar(COUNT)
            .bind(route)
            .bind(now)
            .fetch_one(db)
            .await)?;
        Ok((rows, count))
    }

    /// Deletes the due notifications of a route: they were sent, or can't be.
    pub async fn delete_notifications(&self, route: &str, due: Timestamp) -> Result<u64, StoreError> {
        const SQL: &str = "DELETE FROM alert_notifications WHERE route_id = $1 AND due_at <= $2";
        Ok(on_writer!(self, |db| sqlx::query(SQL)
            .bind(route)
            .bind(due)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?)
    }

    /// Postpones the due notifications of a route, and counts a failed try if it is one.
    pub async fn postpone_notifications(
        &self,
        route: &str,
        due: Timestamp,
        until: Timestamp,
        has_failed: bool,
    ) -> Result<(), StoreError> {
        const SQL: &str =
            "UPDATE alert_notifications SET due_at = $3, tries = tries + $4 WHERE route_id = $1 AND due_at <= $2";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(route)
            .bind(due)
            .bind(until)
            .bind(i64::from(has_failed))
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Lists budget alerts that were sent since a time: organization, scope, period and percentage.
    pub async fn list_sent_budget_alerts(
        &self,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(String, String, String, i64)>, StoreError> {
        const SQL: &str = "SELECT org_id, scope, period, threshold FROM budget_alerts WHERE created_at >= $1
            ORDER BY created_at, scope LIMIT $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(since)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }
}
