//! Anomalies: a cause that lasts is one row, with what the program has done about it. The program reacts to a row once, so that an
//! administrator's decision about the agent stands while the cause lasts.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp, ids};
use serde_json::Value;
use sqlx::types::Json;

use crate::{
    Severity, Store, StoreError,
    change::Change,
    column::text_column,
    engine::{Sql, in_tx, on_reader, on_writer, with_timeout},
};

/// The ids of anomalies begin with it.
pub const ANOMALY_PREFIX: &str = "ano_";

/// The action of the program on an anomaly.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Reaction {
    /// It raises an alert. All others do so as well.
    Alert,
    /// It lowers the limit of the agent for a time.
    Throttle,
    /// Messages of the agent wait for the approval of a person, for a time.
    Confirm,
    /// It suspends the agent.
    Suspend,
}

text_column!(Reaction, "anomalies", "reaction");

/// An observed anomaly.
#[derive(Clone, Debug)]
pub struct NewAnomaly<'a> {
    /// `None`: of the installation.
    pub org: Option<&'a OrgId>,
    pub agent: Option<&'a AgentId>,
    pub detector: &'a str,
    /// Identifies the cause within its detector and organization.
    pub subject: &'a str,
    pub severity: Severity,
    pub reaction: Reaction,
    pub explanation: &'a str,
    pub numbers: &'a Value,
}

#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Anomaly {
    pub id: String,
    pub org_id: Option<String>,
    pub agent_id: Option<String>,
    pub detector: String,
    pub subject: String,
    pub severity: Severity,
    pub reaction: Reaction,
    pub explanation: String,
    #[sqlx(json)]
    pub numbers: Value,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub alerted_at: Option<Timestamp>,
    /// When the program has restrained the agent.
    pub reacted_at: Option<Timestamp>,
    pub dismissed_at: Option<Timestamp>,
    pub dismissed_by: Option<String>,
    pub ended_at: Option<Timestamp>,
}

/// The state of an anomaly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum AnomalyState {
    Open,
    /// A person has dismissed it, and it lasts.
    Dismissed,
    Ended,
}

impl Anomaly {
    pub fn state(&self) -> AnomalyState {
        match (self.ended_at, self.dismissed_at) {
            (Some(_), _) => AnomalyState::Ended,
            (None, Some(_)) => AnomalyState::Dismissed,
            (None, None) => AnomalyState::Open,
        }
    }

    pub fn org(&self) -> Option<OrgId> {
        self.org_id.as_deref().map(OrgId::from)
    }

    pub fn agent(&self) -> Option<AgentId> {
        self.agent_id.as_deref().map(AgentId::from)
    }
}

/// Which anomalies are listed.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnomalyFilter<'a> {
    /// `None`: of all organizations, and of the installation.
    pub org: Option<&'a OrgId>,
    pub only_open: bool,
    pub agent: Option<&'a AgentId>,
    pub detector: Option<&'a str>,
    pub state: Option<AnomalyState>,
    /// The last id of the previous page.
    pub before: Option<&'a str>,
}

const LIST: Sql = Sql {
    postgres: "SELECT id, org_id, agent_id, detector, subject, severity, reaction, explanation, numbers, first_at,
        last_at, alerted_at, reacted_at, dismissed_at, dismissed_by, ended_at
        FROM anomalies WHERE ($1::TEXT IS NULL OR id < $1) AND (NOT $2 OR ended_at IS NULL)
            AND ($4::TEXT IS NULL OR agent_id = $4) AND ($5::TEXT IS NULL OR detector = $5)
            AND ($6::TEXT IS NULL OR $6 = CASE WHEN ended_at IS NOT NULL THEN 'ended' WHEN dismissed_at IS NOT NULL THEN 'dismissed' ELSE 'open' END)
        ORDER BY id DESC LIMIT $3",
    sqlite: "SELECT id, org_id, agent_id, detector, subject, severity, reaction, explanation, numbers, first_at,
        last_at, alerted_at, reacted_at, dismissed_at, dismissed_by, ended_at
        FROM anomalies WHERE ($1 IS NULL OR id < $1) AND (NOT $2 OR ended_at IS NULL)
            AND ($4 IS NULL OR agent_id = $4) AND ($5 IS NULL OR detector = $5)
            AND ($6 IS NULL OR $6 = CASE WHEN ended_at IS NOT NULL THEN 'ended' WHEN dismissed_at IS NOT NULL THEN 'dismissed' ELSE 'open' END)
        ORDER BY id DESC LIMIT $3",
};

const LIST_OF_ORG: Sql = Sql {
    postgres: "SELECT id, org_id, agent_id, detector, subject, severity, reaction, explanation, numbers, first_at,
        last_at, alerted_at, reacted_at, dismissed_at, dismissed_by, ended_at
        FROM anomalies WHERE coalesce(org_id, 'installation') = $7 AND ($1::TEXT IS NULL OR id < $1)
        AND (NOT $2 OR ended_at IS NULL)
            AND ($4::TEXT IS NULL OR agent_id = $4) AND ($5::TEXT IS NULL OR detector = $5)
            AND ($6::TEXT IS NULL OR $6 = CASE WHEN ended_at IS NOT NULL THEN 'ended' WHEN dismissed_at IS NOT NULL THEN 'dismissed' ELSE 'open' END)
        ORDER BY id DESC LIMIT $3",
    sqlite: "SELECT id, org_id, agent_id, detector, subject, severity, reaction, explanation, numbers, first_at,
        last_at, alerted_at, reacted_at, dismissed_at, dismissed_by, ended_at
        FROM anomalies WHERE coalesce(org_id, 'installation') = $7 AND ($1 IS NULL OR id < $1)
        AND (NOT $2 OR ended_at IS NULL)
            AND ($4 IS NULL OR agent_id = $4) AND ($5 IS NULL OR detector = $5)
            AND ($6 IS NULL OR $6 = CASE WHEN ended_at IS NOT NULL THEN 'ended' WHEN dismissed_at IS NOT NULL THEN 'dismissed' ELSE 'open' END)
        ORDER BY id DESC LIMIT $3",
};

impl Store {
    /// Stores an anomaly, or updates the open one with the same cause. Severity and reaction stay those of its beginning.
    pub async fn note_anomaly(&self, new: &NewAnomaly<'_>, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str =
            "INSERT INTO anomalies (id, org_id, agent_id, detector, subject, severity, reaction, explanation, numbers,
                first_at, last_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
            ON CONFLICT (coalesce(org_id, 'installation'), detector, subject) WHERE ended_at IS NULL DO UPDATE
            SET explanation = excluded.explanation, numbers = excluded.numbers, last_at = excluded.last_at";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(format!("{ANOMALY_PREFIX}{}", ids::unique()))
            .bind(new.org.map(OrgId::as_str))
            .bind(new.agent.map(AgentId::as_str))
            .bind(new.detector)
            .bind(new.subject)
            .bind(<&str>::from(new.severity))
            .bind(<&str>::from(new.reaction))
            .bind(new.explanation)
            .bind(Json(new.numbers))
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Lists anomalies that have not ended, of all organizations, oldest first.
    pub async fn list_open_anomalies(&self, limit: u32) -> Result<Vec<Anomaly>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, detector, subject, severity, reaction, explanation, numbers,
            first_at, last_at, alerted_at, reacted_at, dismissed_at, dismissed_by, ended_at
            FROM anomalies WHERE ended_at IS NULL ORDER BY id LIMIT $1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(i64::from(limit))
            .fetch_all(db)
            .await)?)
    }

    /// Counts the anomalies that have neither ended nor been dismissed, of all organizations, by detector.
    pub async fn count_open_anomalies(&self) -> Result<Vec<(String, i64)>, StoreError> {
        const SQL: &str = "SELECT detector, COUNT(*) FROM anomalies WHERE ended_at IS NULL AND dismissed_at IS NULL
            GROUP BY detector ORDER BY detector";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL).fetch_all(db).await)?)
    }

    /// Lists anomalies, newest first.
    pub async fn list_anomalies(&self, filter: &AnomalyFilter<'_>, limit: u32) -> Result<Vec<Anomaly>, StoreError> {
        let sql = self.sql(match filter.org {
            Some(_) => LIST_OF_ORG,
            None => LIST,
        });
        Ok(on_reader!(self, |db| {
            let query = sqlx::query_as(sql)
                .bind(filter.before)
                .bind(filter.only_open)
                .bind(i64::from(limit))
                .bind(filter.agent.map(AgentId::as_str))
                .bind(filter.detector)
                .bind(filter.state.map(<&str>::from));
            match filter.org {
                Some(org) => query.bind(org.as_str()).fetch_all(db).await,
                None => query.fetch_all(db).await,
            }
        })?)
    }

    /// Notes that the alert of an anomaly is raised.
    pub async fn note_anomaly_alert(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE anomalies SET alerted_at = $2 WHERE id = $1 AND alerted_at IS NULL";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(id)
            .bind(now)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }

    /// Ends an anomaly that was last seen before `seen`, with its restraints. Returns whether it has ended now.
    pub async fn end_anomaly(&self, id: &str, seen: Timestamp, now: Timestamp) -> Result<bool, StoreError> {
        const END: &str = "UPDATE anomalies SET ended_at = $3 WHERE id = $1 AND ended_at IS NULL AND last_at < $2";
        const LIFT: &str = "DELETE FROM agent_restraints WHERE anomaly_id = $1";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let ended = in_tx!(&mut tx, |db| sqlx::query(END)
                .bind(id)
                .bind(seen)
                .bind(now)
                .execute(db)
                .await?
                .rows_affected());
            if ended > 0 {
                in_tx!(&mut tx, |db| sqlx::query(LIFT).bind(id).execute(db).await.map(drop)?);
                tx.commit().await?;
            }
            Ok(ended > 0)
        })
        .await
    }
}

impl Change {
    /// Dismisses an open anomaly: its restraints and its pause of a contact end, and the program does not react to it any more. Returns
    /// it, or `None` when there is no such open one.
    pub async fn dismiss_anomaly(
        &self,
        org: Option<&OrgId>,
        id: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<Option<Anomaly>, StoreError> {
        const DISMISS: &str = "UPDATE anomalies SET dismissed_at = $3, dismissed_by = $4
            WHERE id = $1 AND coalesce(org_id, 'installation') = $2 AND ended_at IS NULL AND dismissed_at IS NULL
            RETURNING id, org_id, agent_id, detector, subject, severity, reaction, explanation, numbers, first_at, last_at,
                alerted_at, reacted_at, dismissed_at, dismissed_by, ended_at";
        const LIFT: &str = "DELETE FROM agent_restraints WHERE anomaly_id = $1";
        // The subject names the contact. An anomaly without an agent has no pause.
        const RESUME: &str = "DELETE FROM contact_pauses WHERE org_id = $1 AND agent_id = $2 AND subject = $3";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let dismissed: Option<Anomaly> = in_tx!(&mut tx, |db| sqlx::query_as(DISMISS)
                .bind(id)
                .bind(org.map_or("installation", OrgId::as_str))
                .bind(now)
                .bind(by)
                .fetch_optional(db)
                .await?);
            if let Some(anomaly) = &dismissed {
                in_tx!(&mut tx, |db| sqlx::query(LIFT).bind(id).execute(db).await.map(drop)?);
                in_tx!(&mut tx, |db| sqlx::query(RESUME)
                    .bind(&anomaly.org_id)
                    .bind(&anomaly.agent_id)
                    .bind(&anomaly.subject)
                    .execute(db)
                    .await
                    .map(drop)?);
                self.commit(tx).await?;
            }
            Ok(dismissed)
        })
        .await
    }
}

/// Takes the one reaction to an anomaly.
pub(crate) const REACT: &str = "UPDATE anomalies SET reacted_at = $2
    WHERE id = $1 AND reacted_at IS NULL AND dismissed_at IS NULL AND ended_at IS NULL";
