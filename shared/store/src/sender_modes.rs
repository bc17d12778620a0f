//! The identity of the agents of an organization, the accounts that it uses, and the number of its agents.

use butt_dial_domain::{
    AgentId, OrgId,
    senders::{IdentityMode, IsolationMode},
};

use crate::{Change, Store, StoreError, change::on_change, engine::on_reader};

/// The identity of the agents of an organization, and the accounts that it uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SenderModes {
    /// `None`: the installation's mode.
    pub identity: Option<IdentityMode>,
    pub isolation: Option<IsolationMode>,
}

impl Store {
    /// Returns the modes that are set for the organization, and for the agent in it.
    pub async fn find_sender_modes(&self, org: &OrgId, agent: Option<&AgentId>) -> Result<SenderModes, StoreError> {
        const SQL: &str = "SELECT coalesce((SELECT a.identity_mode FROM agents a WHERE a.id = $2 AND a.org_id = $1),
                o.identity_mode), o.isolation_mode FROM organizations o WHERE o.id = $1";
        let found: Option<(Option<String>, Option<String>)> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(agent.map(AgentId::as_str))
            .fetch_optional(db)
            .await)?;
        let (identity, isolation) = found.unwrap_or_default();
        Ok(SenderModes {
            identity: identity.and_then(|text| text.parse().ok()),
            isolation: isolation.and_then(|text| text.parse().ok()),
        })
    }

    /// Returns how many agents the organization has, and how many it may have. `None`: no limit.
    pub async fn find_agent_quota(&self, org: &OrgId) -> Result<(u32, Option<u32>), StoreError> {
        const SQL: &str =
            "SELECT (SELECT COUNT(*) FROM agents WHERE org_id = $1), max_agents FROM organizations WHERE id = $1";
        let found: Option<(i64, Option<i64>)> = on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .fetch_optional(db)
            .await)?;
        let (count, max) = found.unwrap_or_default();
        let number = |value: i64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok((number(count), max.map(number)))
    }
}

impl Change {
    /// Sets the modes of an organization. `None` leaves a mode as it is.
    pub async fn set_sender_modes(&self, org: &OrgId, modes: SenderModes) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE organizations SET identity_mode = coalesce($2, identity_mode),
            isolation_mode = coalesce($3, isolation_mode) WHERE id = $1";
        on_change!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(modes.identity.map(<&str>::from))
            .bind(modes.isolation.map(<&str>::from))
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(())
    }

    /// Sets who an agent of the organization sends as.
    pub async fn set_agent_identity(&self, org: &OrgId, agent: &AgentId, mode: IdentityMode) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE agents SET identity_mode = $3 WHERE org_id = $1 AND id = $2";
        on_change!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(agent.as_str())
            .bind(<&str>::from(mode))
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(())
    }

    /// Sets how many agents the organization may have.
    pub async fn set_agent_quota(&self, org: &OrgId, max: u32) -> Result<(), StoreError> {
        const SQL: &str = "UPDATE organizations SET max_agents = $2 WHERE id = $1";
        on_change!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(i64::from(max))
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(())
    }
}
