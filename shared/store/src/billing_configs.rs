//! Billing configurations of organizations and of their agents, and the usage that bills are made of.

use butt_dial_domain::{AgentId, OrgId, clock::Timestamp};

use crate::{Change, Store, StoreError, change::on_change, engine::on_reader};

/// A billing configuration. An absent value is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct BillingConfig {
    pub tier: Option<String>,
    /// Hundredths of a percent.
    pub markup: Option<i64>,
    pub billing_email: Option<String>,
}

/// The usage of an agent on one channel in a range of days.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct AgentUsage {
    pub agent_id: String,
    pub channel: String,
    pub messages: i64,
    /// Micro-units.
    pub cost: i64,
}

impl Store {
    /// Finds the configuration of an agent, or of the organization. `None`: never set.
    pub async fn find_billing_config(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
    ) -> Result<Option<BillingConfig>, StoreError> {
        const SQL: &str = "SELECT tier, markup, billing_email FROM billing_configs WHERE org_id = $1 AND agent_id = $2";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(agent.map_or("", AgentId::as_str))
            .fetch_optional(db)
            .await)?)
    }

    /// Lists the markups of the organization's agents that have their own, by the id of the agent.
    pub async fn list_agent_markups(&self, org: &OrgId) -> Result<Vec<(String, i64)>, StoreError> {
        const SQL: &str = "SELECT agent_id, markup FROM billing_configs
            WHERE org_id = $1 AND agent_id <> '' AND markup IS NOT NULL";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .fetch_all(db)
            .await)?)
    }

    /// Sums the usage of each agent of the organization per channel from the day `from` to the day `to`, both included.
    pub async fn sum_org_usage(&self, org: &OrgId, from: &str, to: &str) -> Result<Vec<AgentUsage>, StoreError> {
        const SQL: &str = "SELECT agent_id, channel, CAST(SUM(messages) AS BIGINT) AS messages,
                CAST(SUM(cost) AS BIGINT) AS cost
            FROM usage WHERE org_id = $1 AND day >= $2 AND day <= $3 GROUP BY agent_id, channel ORDER BY agent_id, channel";
        Ok(on_reader!(self, |db| sqlx::query_as(SQL)
            .bind(org.as_str())
            .bind(from)
            .bind(to)
            .fetch_all(db)
            .await)?)
    }
}

impl Change {
    /// Sets the values that are given, of an agent or of the organization. The others stay.
    pub async fn set_billing_config(
        &self,
        org: &OrgId,
        agent: Option<&AgentId>,
        config: &BillingConfig,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const SQL: &str = "INSERT INTO billing_configs (org_id, agent_id, tier, markup, billing_email, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (org_id, agent_id) DO UPDATE SET
                tier = coalesce(excluded.tier, billing_configs.tier),
                markup = coalesce(excluded.markup, billing_configs.markup),
                billing_email = coalesce(excluded.billing_email, billing_configs.billing_email),
                updated_at = excluded.updated_at";
        on_change!(self, |db| sqlx::query(SQL)
            .bind(org.as_str())
            .bind(agent.map_or("", AgentId::as_str))
            .bind(config.tier.as_deref())
            .bind(config.markup)
            .bind(config.billing_email.as_deref())
            .bind(now)
            .execute(db)
            .await
            .map(|done| done.rows_affected()))?;
        Ok(())
    }
}
