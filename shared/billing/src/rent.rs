//! The monthly price of bought numbers. The first month is charged with the order of the number, and refunded with its failure.
//! Further months are charged when they begin, also beyond a budget: the vendor bills them in any case.

use butt_dial_domain::{AgentId, Code, Failure, Micros, OrgId, clock::Timestamp, limits::Limits};
use butt_dial_store::{DueRent, NUMBERS, Profile, ServiceCharge};
use chrono::Months;

use crate::{Billing, EffectiveLimits, agent_scope, org_scope};

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
            service: NUMBERS,
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
                task: None,
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

    /// Charges a number for the month that has begun, once. A number without a date is paid until its next month begins, without a
    /// charge. Returns false if another process has charged it, or if it is not due any more.
    pub async fn charge_month(&self, due: &DueRent, at: Timestamp) -> Result<bool, Failure> {
        let (price, until) = match due.rent_paid_until {
            Some(paid) => (Micros(due.monthly_price), paid_until(due.created_at, paid)),
            None => (Micros::ZERO, paid_until(due.created_at, at)),
        };
        let account = due.agent().unwrap_or_else(|| pool_of(&due.org_id));
        Ok(self.store.charge_rent(due, &account, price, until, at).await?)
    }

    /// Returns whether the next month of a number goes beyond a budget of its agent or of the organization.
    pub async fn exceeds_budget(&self, due: &DueRent, at: Timestamp) -> Result<bool, Failure> {
        let org = org_scope(&due.org_id);
        let org_limits = self.store.find_limits(&org).await?.unwrap_or_default();
        let mut scopes = vec![("organization", org, org_limits)];
        if let Some(agent) = due.agent()
            && let Some(profile) = self.store.find_profile(&agent).await?
        {
            scopes.push(("agent", agent_scope(&agent), self.limits_of(&profile).agent));
        }
        let budgets = self.list_budgets(scopes, at).await?;
        Ok(budgets.iter().any(|budget| budget.left < due.monthly_price))
    }
}

/// Returns when the first month after `paid` ends. Months count from `since`, so a number of the 31st is due on the last day of
/// shorter months.
fn paid_until(since: Timestamp, paid: Timestamp) -> Timestamp {
    let end = |months| since.checked_add_months(Months::new(months));
    (1..).map_while(end).find(|end| *end > paid).unwrap_or(paid)
}

fn pool_of(org: &OrgId) -> AgentId {
    AgentId::in_org(POOL, org)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_count_from_the_purchase() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let bought = at("2026-01-31T10:00:00Z");
        for (paid, until) in [
            ("2026-01-31T10:00:00Z", "2026-02-28T10:00:00Z"),
            ("2026-02-28T10:00:00Z", "2026-03-31T10:00:00Z"),
            ("2026-03-31T10:00:00Z", "2026-04-30T10:00:00Z"),
            ("2027-06-15T00:00:00Z", "2027-06-30T10:00:00Z"),
        ] {
            assert_eq!(paid_until(bought, at(paid)), at(until), "{paid}");
        }
    }
}
