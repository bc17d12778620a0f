//! Temporary restraints of agents: a lower limit, or approval of every message. They are part of the profile of an agent, so that a
//! send needs no further query, and they end by themselves.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};
use serde::Deserialize;

use crate::{
    Store, StoreError,
    engine::{on_reader, on_writer},
};

/// The restraints of an agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restraints {
    /// Actions per minute, until the time.
    pub throttle: Option<(u32, Timestamp)>,
    /// Messages need an approval until then.
    pub confirm_until: Option<Timestamp>,
}

impl Restraints {
    /// Returns the limit of actions per minute that holds now.
    pub fn throttle_at(&self, now: Timestamp) -> Option<u32> {
        self.throttle
            .filter(|(_, until)| now < *until)
            .map(|(per_minute, _)| per_minute)
    }

    /// Returns whether messages need an approval now.
    pub fn confirms_at(&self, now: Timestamp) -> bool {
        self.confirm_until.is_some_and(|until| now < until)
    }
}

/// A row, also as JSON within a profile.
#[derive(Deserialize, sqlx::FromRow)]
pub(crate) struct RestraintRow {
    kind: String,
    max_per_minute: Option<i64>,
    until_at: Timestamp,
}

impl FromIterator<RestraintRow> for Restraints {
    fn from_iter<T: IntoIterator<Item = RestraintRow>>(rows: T) -> Self {
        let mut all = Self::default();
        for row in rows {
            match (row.kind.as_str(), row.max_per_minute) {
                ("throttle", Some(limit)) => {
                    all.throttle = Some((u32::try_from(limit).unwrap_or(u32::MAX), row.until_at));
                }
                _ => all.confirm_until = Some(row.until_at),
            }
        }
        all
    }
}

impl Store {
    /// Finds the restraints of an agent, also those that are over.
    pub async fn find_restraints(&self, agent: &AgentId) -> Result<Restraints, StoreError> {
        const SQL: &str = "SELECT kind, max_per_minute, until_at FROM agent_restraints WHERE agent_id = $1";
        let rows: Vec<RestraintRow> =
            on_reader!(self, |db| sqlx::query_as(SQL).bind(agent.as_str()).fetch_all(db).await)?;
        Ok(rows.into_iter().collect())
    }

    /// Notes that the agent reads a text that resembles instructions. If its organization has chosen so, its messages need an approval
    /// until then. Returns whether they do.
    pub async fn note_tainted_text(
        &self,
        (org, agent): (&OrgId, &AgentId),
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str = "UPDATE agents SET tainted_until = $3 WHERE id = $2 AND org_id = $1
                AND EXISTS (SELECT 1 FROM organizations o WHERE o.id = $1 AND o.confirms_tainted)";
        let noted = on_writer!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(agent.as_str())
            .bind(until)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        if noted > 0 {
            self.changes.note(org.as_str());
        }
        Ok(noted > 0)
    }

    /// Extends the restraints of an anomaly that lasts.
    pub async fn extend_restraints(&self, anomaly: &str, until: Timestamp) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE agent_restraints SET until_at = $2 WHERE anomaly_id = $1 AND until_at < $2";
        on_writer!(self, |db| sqlx::query(SQL)
            .bind(anomaly)
            .bind(until)
            .execute(db)
            .await
            .map(drop))?;
        Ok(())
    }
}
