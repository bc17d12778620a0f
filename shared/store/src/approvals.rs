//! Scheduled sends that wait for the approval of a person. They expire when they are due.

use butt_dial_domain::{MessageId, OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    change::{Change, on_change},
    column::text_column,
    engine::{Sql, on_reader},
};

/// Whether a person has approved a send that a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ApprovalState {
    Pending,
    Approved,
    Rejected,
}

text_column!(ApprovalState, "scheduled_sends", "approval");

/// A send that waits for the approval of a person. It expires when it is due.
#[derive(Clone, Copy, Debug)]
pub struct NewApproval<'a> {
    pub rule: &'a str,
    /// When the message is sent after the approval. `None`: at once.
    pub send_at: Option<Timestamp>,
}

/// A send that waits for an approval, without its content.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct WaitingApproval {
    #[sqlx(try_from = "String")]
    pub id: MessageId,
    #[sqlx(try_from = "String")]
    pub org_id: OrgId,
    pub agent_id: String,
    pub channel: String,
    pub approval_rule: String,
    pub due_at: Timestamp,
}

impl Store {
    /// Lists the oldest sends of each organization that wait for an approval. Organizations take turns.
    pub async fn list_waiting_approvals(&self, per_org: u32, limit: u32) -> Result<Vec<WaitingApproval>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, channel, approval_rule, due_at
            FROM (SELECT id, org_id, agent_id, channel, approval_rule, due_at,
                    row_number() OVER (PARTITION BY org_id ORDER BY id) AS place
                FROM scheduled_sends WHERE approval = 'pending' AND state = 'scheduled') AS waiting
            WHERE place <= $1 ORDER BY place, id LIMIT $2";
        Ok(on_reader!(self, |db| {
            sqlx::query_as(SQL)
                .bind(i64::from(per_org))
                .bind(i64::from(limit))
                .fetch_all(db)
                .await
        })?)
    }
}

impl Change {
    /// Approves a send that waits for it, or rejects it with a failure. Returns false, and changes nothing, when it does not wait, or
    /// has expired. The sweep sends an approved message, and notifies the agent of a rejected one.
    pub async fn decide_approval(
        &self,
        org: &OrgId,
        id: &MessageId,
        rejection: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        const SQL: Sql = Sql {
            postgres: "UPDATE scheduled_sends SET failure = $3,
                    approval = CASE WHEN $3::TEXT IS NULL THEN 'approved' ELSE 'rejected' END,
                    state = CASE WHEN $3::TEXT IS NULL THEN state ELSE 'cancelled' END,
                    due_at = CASE WHEN $3::TEXT IS NULL AND send_at > $4 THEN send_at ELSE $4 END
                WHERE id = $2 AND org_id = $1 AND approval = 'pending' AND state = 'scheduled' AND due_at > $4",
            sqlite: "UPDATE scheduled_sends SET failure = $3,
                    approval = CASE WHEN $3 IS NULL THEN 'approved' ELSE 'rejected' END,
                    state = CASE WHEN $3 IS NULL THEN state ELSE 'cancelled' END,
                    due_at = CASE WHEN $3 IS NULL AND send_at > $4 THEN send_at ELSE $4 END
                WHERE id = $2 AND org_id = $1 AND approval = 'pending' AND state = 'scheduled' AND due_at > $4",
        };
        let sql = self.store.sql(SQL);
        let done = on_change!(self, |db| {
            sqlx::query(sql)
                .bind(org.as_str())
                .bind(id.as_str())
                .bind(rejection)
                .bind(now)
                .execute(db)
                .await
                .map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}
