//! Permanent bridges: a call to a number of an agent is connected with another number.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};

use crate::{
    Store, StoreError,
    engine::{on_reader, on_writer},
};

/// A stored bridge.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct CallBridge {
    pub id: String,
    pub org_id: String,
    /// The agent that pays.
    pub agent_id: String,
    pub local_number: String,
    /// `None`: every caller.
    pub from_number: Option<String>,
    pub destination: String,
    pub label: Option<String>,
    pub created_at: Timestamp,
}

impl Store {
    /// Stores a bridge. Fails with `Conflict` if one exists for this number and caller, or if the organization has `max` of them.
    pub async fn create_bridge(&self, bridge: &CallBridge, max: u32) -> Result<(), StoreError> {
        const SQL: &str =
            "INSERT INTO call_bridges (id, org_id, agent_id, local_number, from_number, destination, label, created_at)
            SELECT $1, $2, $3, $4, $5, $6, $7, $8
            WHERE (SELECT COUNT(*) FROM call_bridges WHERE org_id = $2) < $9
                AND NOT EXISTS (SELECT 1 FROM call_bridges WHERE org_id = $2 AND local_number = $4
                    AND coalesce(from_number, '') = coalesce($5, ''))";
        let done = on_writer!(self, |db| sqlx::query(SQL)
            .bind(&bridge.id)
            .bind(&bridge.org_id)
            .bind(&bridge.agent_id)
            .bind(&bridge.local_number)
            .bind(bridge.from_number.as_deref())
            .bind(&bridge.destination)
            .bind(bridge.label.as_deref())
            .bind(bridge.created_at)
            .bind(i64::from(max))
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        if done == 1 { Ok(()) } else { Err(StoreError::Conflict) }
    }

    /// Lists the organization's bridges, oldest first.
    pub async fn list_bridges(&self, org: &OrgId) -> Result<Vec<CallBridge>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, local_number, from_number, destination, label, created_at
            FROM call_bridges WHERE org_id = $1 ORDER BY created_at, id";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .fetch_all(db)
            .await)?)
    }

    /// Finds the bridge of an agent's number for a caller: one for this caller comes before one for all.
    pub async fn find_bridge(
        &self,
        agent: &AgentId,
        local: &str,
        from: &str,
    ) -> Result<Option<CallBridge>, StoreError> {
        const SQL: &str = "SELECT id, org_id, agent_id, local_number, from_number, destination, label, created_at
            FROM call_bridges WHERE agent_id = $1 AND local_number = $2 AND (from_number IS NULL OR from_number = $3)
            ORDER BY coalesce(from_number, '') DESC LIMIT 1";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(agent.as_str())
            .bind(local)
            .bind(from)
            .fetch_optional(db)
            .await)?)
    }

    /// Deletes a bridge of the organization. Returns it.
    pub async fn delete_bridge(&self, org: &OrgId, id: &str) -> Result<Option<CallBridge>, StoreError> {
        const SQL: &str = "DELETE FROM call_bridges WHERE org_id = $1 AND id = $2
            RETURNING id, org_id, agent_id, local_number, from_number, destination, label, created_at";
        Ok(on_writer!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(id)
            .fetch_optional(db)
            .await)?)
    }
}
