//! Reactions to anomalies. A transaction marks the anomaly, restrains its agent and writes the audit entry, so that replicas together
//! react once.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};

use crate::{
    AgentStatus, Change, StatusSetBy, StoreError,
    agent_status::set_status_in,
    anomalies::REACT,
    engine::{in_tx, with_timeout},
};

/// The effect of a restraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewRestraint {
    /// At most this many actions per minute.
    Throttle(u32),
    /// A person has to approve the messages.
    Confirm,
}

impl Change {
    /// Restrains an agent because of an anomaly. Returns false when the program has reacted to the anomaly already.
    pub async fn restrain_agent(
        &self,
        anomaly: &str,
        (org, agent): (&OrgId, &AgentId),
        restraint: NewRestraint,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: &str =
            "INSERT INTO agent_restraints (agent_id, kind, org_id, anomaly_id, max_per_minute, until_at, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (agent_id, kind) DO UPDATE SET anomaly_id = excluded.anomaly_id,
                max_per_minute = excluded.max_per_minute, until_at = excluded.until_at, created_at = excluded.created_at";
        let (kind, limit) = match restraint {
            NewRestraint::Throttle(limit) => ("throttle", Some(i64::from(limit))),
            NewRestraint::Confirm => ("confirm", None),
        };
        with_timeout(async {
            let mut tx = self.begin().await?;
            let taken = in_tx!(&mut tx, |db| sqlx::query(REACT)
                .bind(anomaly)
                .bind(now)
                .execute(db)
                .await?
                .rows_affected());
            if taken == 0 {
                return Ok(false);
            }
            in_tx!(&mut tx, |db| sqlx::query(SQL)
                .bind(agent.as_str())
                .bind(kind)
                .bind(org.as_str())
                .bind(anomaly)
                .bind(limit)
                .bind(until)
                .bind(now)
                .execute(db)
                .await
                .map(drop)?);
            self.commit(tx).await?;
            Ok(true)
        })
        .await
    }

    /// Suspends an active agent because of an anomaly. Returns false, and changes nothing, when the program has reacted to the anomaly
    /// already: an administrator may have reactivated the agent since. An agent that is not active stays as it is.
    pub async fn suspend_for_anomaly(
        &self,
        anomaly: &str,
        (org, agent): (&OrgId, &AgentId),
        reason: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const STATUS: &str = "SELECT status FROM agents WHERE org_id = $1 AND id = $2";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let taken = in_tx!(&mut tx, |db| sqlx::query(REACT)
                .bind(anomaly)
                .bind(now)
                .execute(db)
                .await?
                .rows_affected());
            if taken == 0 {
                return Ok(false);
            }
            let status: Option<String> = in_tx!(&mut tx, |db| sqlx::query_scalar(STATUS)
                .bind(org.as_str())
                .bind(agent.as_str())
                .fetch_optional(db)
                .await?);
            if status.as_deref() != Some(AgentStatus::Active.as_str()) {
                tx.commit().await?;
                return Ok(false);
            }
            let set = (AgentStatus::Suspended, StatusSetBy::Admin, Some(reason));
            let done = set_status_in(&mut tx, (org, agent), set).await?;
            self.commit_with(tx, |entry| done.iter().for_each(|done| done.note(entry)))
                .await?;
            Ok(done.is_some())
        })
        .await
    }
}
