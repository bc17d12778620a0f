//! The monthly price of bought numbers. The first month is charged with the order of the number, and refunded with its failure.

use butt_dial_domain::{AgentId, Channel, Code, Failure, Micros, OrgId, clock::Timestamp, limits::Limits};
use butt_dial_store::{Profile, ServiceCharge};

use crate::{Billing, EffectiveLimits, org_scope};

/// The host's id of the account that numbers of a pool are charged to. No agent has it.
const POOL: &str = "pool";

/// A rent to charge or to refund, with the account and its limits.
pub struct Rent {
    org: OrgId,
    agent: AgentId,
    profile: Option<Profile>,
    limits: EffectiveLimits,
    price: Micros,
    at: Timestamp,
}

impl Rent {
    /// Returns the charge, for the transaction that makes or ends the order.
    pub fn charge(&self) -> ServiceCharge<'_> {
        ServiceCharge {
            org: &self.org,
            agent: &self.agent,
            channel: Channel::Sms,
            price: self.price,
            limits: (self.limits.agent, self.limits.org),
            budget: self.limits.token.as_ref(),
            at: self.at,
        }
    }
}

impl Billing {
    /// Prepares the rent of a number for its agent, or for the pool of the organization. Takes one action from the rate limits of the
    /// agent; fails with `RateLimited` without one.
    pub async fn prepare_rent(&self, org: &OrgId, agent: Option<Profile>, price: Micros) -> Result<Rent, Failure> {
        let limits = match &agent {
            Some(profile) => {
                let limits = self.limits_of(profile);
                self.take_actions(profile, &limits).await?;
                limits
            }
            None => EffectiveLimits {
                agent: Limits::default(),
                org: self.store.find_limits(&org_scope(org)).await?.unwrap_or_default(),
                token: None,
            },
        };
        Ok(Rent {
            agent: agent
                .as_ref()
                .map_or_else(|| pool_of(org), |profile| profile.agent.id.clone()),
            org: org.clone(),
            profile: agent,
            limits,
            price,
            at: self.clock.now(),
        })
    }

    /// Builds the refusal for a rent that exceeds a budget.
    pub async fn explain_unaffordable_rent(&self, rent: &Rent) -> Failure {
        match &rent.profile {
            Some(profile) => self.explain_over_budget(&profile.agent, &rent.limits, rent.price).await,
            None => Failure::new(
                Code::SpendLimit,
                "the spend limit of the organization does not cover this number",
            )
            .hint("raise the limit with comms_set_client_limits, or wait for the next period"),
        }
    }

    /// Returns the refund of a rent. `None`: it cost nothing.
    pub fn refund_of_rent(&self, org: &OrgId, agent: Option<&AgentId>, price: Micros) -> Option<Rent> {
        (price != Micros::ZERO).then(|| Rent {
            org: org.clone(),
            agent: agent.cloned().unwrap_or_else(|| pool_of(org)),
            profile: None,
            limits: EffectiveLimits::unlimited(),
            price: Micros(-price.0),
            at: self.clock.now(),
        })
    }

    /// Refunds a rent.
    pub async fn refund_rent(&self, org: &OrgId, agent: Option<&AgentId>, price: Micros) -> Result<(), Failure> {
        if let Some(rent) = self.refund_of_rent(org, agent, price) {
            self.store.charge_service(&rent.charge()).await?;
        }
        Ok(())
    }
}

fn pool_of(org: &OrgId) -> AgentId {
    AgentId::in_org(POOL, org)
}
