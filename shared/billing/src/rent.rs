//! The monthly price of bought numbers. The first month is charged before the purchase, and refunded if there is none.

use butt_dial_domain::{AgentId, Channel, Code, Failure, Micros, OrgId, limits::Limits};
use butt_dial_store::{Profile, StoreError};

use crate::{Billing, org_scope};

/// The host's id of the account that numbers of a pool are charged to. No agent has it.
const POOL: &str = "pool";

impl Billing {
    /// Charges the rent of a number to its agent, or to the pool of the organization. Fails with `SpendLimit` when the budget of
    /// the agent or of the organization is too small.
    pub async fn charge_rent(&self, org: &OrgId, agent: Option<&Profile>, price: Micros) -> Result<(), Failure> {
        if let Some(profile) = agent {
            return self.charge_service(profile, Channel::Sms, price).await;
        }
        let org_limits = self.store.find_limits(&org_scope(org)).await?.unwrap_or_default();
        let limits = (Limits::default(), org_limits);
        let pool = pool_of(org);
        let charged = self
            .store
            .charge_service(org, &pool, Channel::Sms, price, limits, self.clock.now());
        charged.await.map_err(|error| match error {
            StoreError::OverBudget => Failure::new(
                Code::SpendLimit,
                "the spend limit of the organization does not cover this number",
            )
            .hint("raise the limit with comms_set_client_limits, or wait for the next period"),
            other => other.into(),
        })
    }

    /// Refunds a rent that was charged.
    pub async fn refund_rent(&self, org: &OrgId, agent: Option<&AgentId>, price: Micros) -> Result<(), Failure> {
        let limits = (Limits::default(), Limits::default());
        let pool = pool_of(org);
        let refund = Micros(-price.0);
        Ok(self
            .store
            .charge_service(
                org,
                agent.unwrap_or(&pool),
                Channel::Sms,
                refund,
                limits,
                self.clock.now(),
            )
            .await?)
    }
}

fn pool_of(org: &OrgId) -> AgentId {
    AgentId::in_org(POOL, org)
}
