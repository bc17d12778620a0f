//! The status of agents. An agent that can't act any more loses what it has scheduled.

use butt_dial_domain::{AgentId, OrgId};
use serde_json::json;

use crate::{
    AgentStatus, AuditEntry, Change, StatusSetBy, StoreError,
    engine::{in_tx, with_timeout},
};

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
        const BEFORE: &str = "SELECT status FROM agents WHERE org_id = $1 AND id = $2";
        const SET: &str = "UPDATE agents SET status = $3, status_by = $4, status_reason = $5
            WHERE org_id = $1 AND id = $2
                AND ($4 = 'admin' OR status = 'active' OR status_by = 'agent')";
        const CANCEL: &str = "UPDATE scheduled_sends
            SET state = 'cancelled', failure = 'AUTH_FORBIDDEN', request = NULL, due_at = created_at
            WHERE agent_id = $1 AND state = 'scheduled'";
        with_timeout(async {
            let mut tx = self.begin().await?;
            let before: Option<String> = in_tx!(&mut tx, |db| sqlx::query_scalar(BEFORE)
                .bind(org.as_str())
                .bind(id.as_str())
                .fetch_optional(db)
                .await?);
            let found = in_tx!(&mut tx, |db| sqlx::query(SET)
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
                AgentStatus::Inactive | AgentStatus::Suspended => in_tx!(&mut tx, |db| sqlx::query(CANCEL)
                    .bind(id.as_str())
                    .execute(db)
                    .await?
                    .rows_affected()),
            };
            let note = |entry: &mut AuditEntry| {
                entry.note("cancelledSends", cancelled);
                entry.before = before.map(|status| json!({ "status": status }));
                entry.after = Some(json!({ "status": status.as_str() }));
            };
            self.commit_with(tx, note).await?;
            Ok(Some(cancelled))
        })
        .await
    }
}
