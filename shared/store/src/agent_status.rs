//! The status of agents. An agent that can't act any more loses what it has scheduled.

use butt_dial_domain::{AgentId, OrgId};
use serde_json::json;

use crate::{
    AgentStatus, AuditEntry, Change, StatusSetBy, StoreError,
    engine::{Tx, in_tx, with_timeout},
};

/// A change of an agent's status.
pub(crate) struct StatusSet {
    before: Option<String>,
    status: AgentStatus,
    cancelled: u64,
}

impl StatusSet {
    /// Completes the audit entry.
    pub fn note(&self, entry: &mut AuditEntry) {
        entry.note("cancelledSends", self.cancelled);
        entry.before = self.before.as_ref().map(|status| json!({ "status": status }));
        entry.after = Some(json!({ "status": self.status.as_str() }));
    }
}

impl Change {
    /// Sets the status of an agent. An agent that is no longer active loses what it has scheduled: these sends are cancelled in
    /// the same transaction, and the next sweep notifies the agent. Returns how many, or `None` when there is no such agent, or when
    /// it tries to undo the decision of an administrator.
    pub async fn set_agent_status(
        &self,
        org: &OrgId,
        id: &AgentId,
        status: AgentStatus,
        set_by: StatusSetBy,
        reason: Option<&str>,
    ) -> Result<Option<u64>, StoreError> {
        with_timeout(async {
            let mut tx = self.begin().await?;
            let Some(set) = set_status_in(&mut tx, (org, id), (status, set_by, reason)).await? else {
                return Ok(None);
            };
            self.commit_with(tx, |entry| set.note(entry)).await?;
            Ok(Some(set.cancelled))
        })
        .await
    }
}

/// Sets the status of an agent as part of a change.
pub(crate) async fn set_status_in(
    tx: &mut Tx,
    (org, id): (&OrgId, &AgentId),
    (status, set_by, reason): (AgentStatus, StatusSetBy, Option<&str>),
) -> Result<Option<StatusSet>, StoreError> {
    const BEFORE: &str = "SELECT status FROM agents WHERE org_id = $1 AND id = $2";
    const SET: &str = "UPDATE agents SET status = $3, status_by = $4, status_reason = $5
        WHERE org_id = $1 AND id = $2
            AND ($4 = 'admin' OR status = 'active' OR status_by = 'agent')";
    const CANCEL: &str = "UPDATE scheduled_sends
        SET state = 'cancelled', failure = 'AUTH_FORBIDDEN', request = NULL, due_at = created_at
        WHERE agent_id = $1 AND state = 'scheduled'";
    let before: Option<String> = in_tx!(tx, |db| sqlx::query_scalar(BEFORE)
        .bind(org.as_str())
        .bind(id.as_str())
        .fetch_optional(db)
        .await?);
    let found = in_tx!(tx, |db| sqlx::query(SET)
        .bind(org.as_str())
        .bind(id.as_str())
        .bind(status.as_str())
        .bind(<&str>::from(set_by))
        .bind(reason)
        .execute(db)
        .await?
        .rows_affected());
    if found == 0 {
        return Ok(None);
    }
    let cancelled = match status {
        AgentStatus::Active => 0,
        AgentStatus::Inactive | AgentStatus::Suspended => in_tx!(tx, |db| sqlx::query(CANCEL)
            .bind(id.as_str())
            .execute(db)
            .await?
            .rows_affected()),
    };
    Ok(Some(StatusSet {
        before,
        status,
        cancelled,
    }))
}
