//! Alerts: a cause that lasts is one row. Its notifications are written in the same transaction.

use butt_dial_domain::{OrgId, clock::Timestamp, ids};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    Store, StoreError,
    column::text_column,
    engine::{Sql, Tx, in_tx, on_reader, with_timeout},
};

/// How urgent an alert is. The order is that of urgency.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

text_column!(Severity, "alerts", "severity");

#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum AlertState {
    Open,
    Acknowledged,
    Resolved,
}

text_column!(AlertState, "alerts", "state");

/// A cause to alert about.
#[derive(Clone, Debug)]
pub struct NewAlert<'a> {
    /// `None`: about the installation.
    pub org: Option<&'a OrgId>,
    pub kind: &'a str,
    /// Identifies the cause within its kind and organization.
    pub fingerprint: &'a str,
    pub severity: Severity,
    pub title: &'a str,
    pub evidence: &'a Value,
}

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Alert {
    pub id: String,
    pub org_id: Option<String>,
    pub kind: String,
    pub fingerprint: String,
    pub severity: Severity,
    pub title: String,
    #[sqlx(json)]
    pub evidence: Value,
    pub state: AlertState,
    pub occurrences: i64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub changed_by: Option<String>,
    pub changed_at: Option<Timestamp>,
}

/// A notification of a route.
#[derive(Clone, Debug)]
pub struct Due {
    pub route: String,
    pub reason: &'static str,
    pub at: Timestamp,
}

impl Store {
    /// Opens an alert with its notifications, or counts up the open one of the same cause. Returns the alert, and whether it is new.
    pub async fn raise_alert(
        &self,
        new: &NewAlert<'_>,
        due: &[Due],
        now: Timestamp,
    ) -> Result<(String, bool), StoreError> {
        const INSERT: &str =
            "INSERT INTO alerts (id, org_id, kind, fingerprint, severity, title, evidence, state, occurrences,
                first_at, last_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, 'open', 1, $8, $8)
            ON CONFLICT (coalesce(org_id, 'installation'), kind, fingerprint) WHERE state <> 'resolved' DO UPDATE
            SET occurrences = alerts.occurrences + 1, last_at = excluded.last_at, evidence = excluded.evidence
            RETURNING id";
        let id = format!("alr_{}", ids::unique());
        with_timeout(async {
            let mut tx = self.begin().await?;
            let stored: String = in_tx!(&mut tx, |db| sqlx::query_scalar(INSERT)
                .bind(&id)
                .bind(new.org.map(OrgId::as_str))
                .bind(new.kind)
                .bind(new.fingerprint)
                .bind(<&str>::from(new.severity))
                .bind(new.title)
                .bind(Json(new.evidence))
                .bind(now)
                .fetch_one(db)
                .await?);
            let is_new = stored == id;
            if is_new {
                notify_in(&mut tx, &id, due).await?;
            }
            tx.commit().await?;
            Ok((stored, is_new))
        })
        .await
    }

    /// Acknowledges or resolves an alert that is not resolved, and forgets its notifications. Returns whether it was
    /// not resolved.
    pub async fn set_alert_state(
        &self,
        org: Option<&OrgId>,
        id: &str,
        state: AlertState,
        by: &str,
        due: &[Due],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SET: &str = "UPDATE alerts SET state = $3, changed_by = $4, changed_at = $5
            WHERE id = $2 AND coalesce(org_id, 'installation') = $1 AND state <> 'resolved' AND state <> $3";
        const FORGET: &str = "DELETE FROM alert_notifications WHERE alert_id = $1";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let set = in_tx!(&mut tx, |db| sqlx::query(SET)
                .bind(org.map_or("installation", OrgId::as_str))
                .bind(id)
                .bind(<&str>::from(state))
                .bind(by)
                .bind(now)
                .execute(db)
                .await?
                .rows_affected());
            if set == 0 {
                return Ok(false);
            }
            in_tx!(&mut tx, |db| sqlx::query(FORGET)
                .bind(id)
                .execute(db)
                .await
                .map(drop)?);
            notify_in(&mut tx, id, due).await?;
            tx.commit().await?;
            Ok(true)
        })
        .await
    }

    /// Lists alerts of an organization or of the installation, newest first, before the alert `before`.
    pub async fn list_alerts(
        &self,
        org: Option<&OrgId>,
        only_unresolved: bool,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<Alert>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT id, org_id, kind, fingerprint, severity, title, evidence, state, occurrences, first_at,
                last_at, changed_by, changed_at
                FROM alerts WHERE coalesce(org_id, 'installation') = $1 AND ($2::TEXT IS NULL OR id < $2)
                AND (NOT $3 OR state <> 'resolved') ORDER BY id DESC LIMIT $4",
            sqlite: "SELECT id, org_id, kind, fingerprint, severity, title, evidence, state, occurrences, first_at,
                last_at, changed_by, changed_at
                FROM alerts WHERE coalesce(org_id, 'installation') = $1 AND ($2 IS NULL OR id < $2)
                AND (NOT $3 OR state <> 'resolved') ORDER BY id DESC LIMIT $4",
        };
        let sql = self.sql(SQL);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(org.map_or("installation", OrgId::as_str))
            .bind(before)
            .bind(only_unresolved)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Finds the alert of a cause that is not resolved.
    pub async fn find_open_alert(
        &self,
        org: Option<&OrgId>,
        kind: &str,
        fingerprint: &str,
    ) -> Result<Option<String>, StoreError> {
        const SQL: &str = "SELECT id FROM alerts WHERE coalesce(org_id, 'installation') = $1 AND kind = $2
            AND fingerprint = $3 AND state <> 'resolved'";
        Ok(on_reader!(self, |db| sqlx::query_scalar(SQL)
            .bind(org.map_or("installation", OrgId::as_str))
            .bind(kind)
            .bind(fingerprint)
            .fetch_optional(db)
            .await)?)
    }

    /// Lists alerts of these kinds that are not resolved, of all organizations.
    pub async fn list_unresolved_alerts(&self, kinds: &[&str], limit: u32) -> Result<Vec<Alert>, StoreError> {
        const SQL: Sql = Sql {
            postgres: "SELECT id, org_id, kind, fingerprint, severity, title, evidence, state, occurrences, first_at, last_at,
                changed_by, changed_at
                FROM alerts WHERE kind IN (SELECT jsonb_array_elements_text($1)) AND state <> 'resolved' ORDER BY id LIMIT $2",
            sqlite: "SELECT id, org_id, kind, fingerprint, severity, title, evidence, state, occurrences, first_at, last_at,
                changed_by, changed_at
                FROM alerts WHERE kind IN (SELECT value FROM json_each($1)) AND state <> 'resolved' ORDER BY id LIMIT $2",
        };
        let sql = self.sql(SQL);
        Ok(on_reader!(self, |db| sqlx::query_as(sql)
            .bind(Json(kinds))
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }
}

async fn notify_in(tx: &mut Tx, alert: &str, due: &[Due]) -> Result<(), StoreError> {
    const SQL: &str = "INSERT INTO alert_notifications (route_id, alert_id, reason, due_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (route_id, alert_id, reason) DO NOTHING";
    for due in due {
        in_tx!(tx, |db| sqlx::query(SQL)
            .bind(&due.route)
            .bind(alert)
            .bind(due.reason)
            .bind(due.at)
            .execute(db)
            .await
            .map(drop)?);
    }
    Ok(())
}
