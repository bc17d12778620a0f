//! Budgets: which one refuses, and how much of it is left. The database itself refuses a reservation beyond a budget.

use butt_dial_domain::{Channel, Code, Failure, Micros, limits::Period};
use butt_dial_store::{Agent, Profile, ServiceCharge, StoreError};
use serde_json::json;

use crate::{Billing, EffectiveLimits, agent_scope, org_scope};

struct Budget {
    left: i64,
    /// `agent` or `organization`.
    scope: &'static str,
    period: Period,
    limit: Micros,
    used: Micros,
}

impl Billing {
    /// Fails with `SpendLimit` if the budget of the agent or its organization is below `need`. Reserves nothing.
    pub async fn check_budget(&self, agent: &Agent, limits: &EffectiveLimits, need: Micros) -> Result<(), Failure> {
        match self.find_tightest_budget(agent, limits, need).await? {
            Some(budget) if budget.left < need.0 => Err(self.refuse(&budget)),
            _ => Ok(()),
        }
    }

    /// Takes one action from the rate limits and charges a service without a message, such as synthesized speech. Fails with
    /// `RateLimited` or `SpendLimit`, and charges nothing then.
    pub async fn charge_service(&self, profile: &Profile, channel: Channel, price: Micros) -> Result<(), Failure> {
        let limits = self.limits_of(profile);
        self.take_actions(profile, &limits).await?;
        self.charge(profile, &limits, channel, price).await
    }

    /// Takes one transcription and charges its price. Fails with `RateLimited` or `SpendLimit`, and charges nothing then.
    pub async fn charge_transcription(&self, profile: &Profile, price: Micros) -> Result<(), Failure> {
        let limits = self.limits_of(profile);
        self.take_transcription(profile).await?;
        self.charge(profile, &limits, Channel::Voice, price).await
    }

    async fn charge(
        &self,
        profile: &Profile,
        limits: &EffectiveLimits,
        channel: Channel,
        price: Micros,
    ) -> Result<(), Failure> {
        let agent = &profile.agent;
        let charge = ServiceCharge {
            org: &agent.org_id,
            agent: &agent.id,
            channel,
            price,
            limits: (limits.agent, limits.org),
            at: self.clock.now(),
        };
        match self.store.charge_service(&charge).await {
            Ok(()) => Ok(()),
            // The taken action is not given back: requests without money must not be unlimited.
            Err(StoreError::OverBudget) => Err(self.explain_over_budget(agent, limits, price).await),
            Err(error) => Err(error.into()),
        }
    }

    /// Builds the refusal for a reservation that the database refused.
    pub async fn explain_over_budget(&self, agent: &Agent, limits: &EffectiveLimits, need: Micros) -> Failure {
        match self.find_tightest_budget(agent, limits, need).await {
            Ok(Some(budget)) => self.refuse(&budget),
            Ok(None) => Failure::internal(),
            Err(failure) => failure,
        }
    }

    fn refuse(&self, budget: &Budget) -> Failure {
        let now = self.clock.now();
        let limit = format!("spend_{}", budget.period.as_str());
        self.metrics.record_refusal(budget.scope, &limit);
        let seconds = u64::try_from((budget.period.end(now) - now).num_seconds()).unwrap_or(0);
        over_budget(budget.scope, budget.period, budget.limit, budget.used, seconds.max(1))
    }

    /// Returns the budget with the least left; one that is below `need` wins over others.
    async fn find_tightest_budget(
        &self,
        agent: &Agent,
        limits: &EffectiveLimits,
        need: Micros,
    ) -> Result<Option<Budget>, Failure> {
        let now = self.clock.now();
        let (day, month) = (Period::Day.key(now), Period::Month.key(now));
        let scopes = [
            ("agent", agent_scope(&agent.id), limits.agent),
            ("organization", org_scope(&agent.org_id), limits.org),
        ];
        let mut tightest: Option<Budget> = None;
        for (name, scope, limits) in scopes {
            let spend = self.store.list_spend(&scope, &day, &month).await?;
            for period in Period::ALL {
                let Some(limit) = period.limit(&limits) else { continue };
                let key = period.key(now);
                let row = spend.iter().find(|row| row.period == key);
                let used = row.map_or(0, |row| row.held + row.settled);
                let left = limit.0 - used;
                if left < need.0 || tightest.as_ref().is_none_or(|budget| left < budget.left) {
                    tightest = Some(Budget {
                        left,
                        scope: name,
                        period,
                        limit,
                        used: Micros(used),
                    });
                }
            }
        }
        Ok(tightest)
    }
}

/// Builds the refusal of a budget.
fn over_budget(scope: &'static str, period: Period, limit: Micros, used: Micros, seconds_left: u64) -> Failure {
    let name = period.as_str();
    Failure::new(
        Code::SpendLimit,
        format!("Spend limit: this {scope} may spend {limit} per {name}"),
    )
    .hint("wait for the next period, or have an administrator raise the limit")
    .retry_after(seconds_left)
    .detail("scope", scope)
    .detail(
        "limit",
        json!({
            "period": name,
            "limit": limit.as_units(),
            "used": used.as_units(),
            "remaining": (limit.0 - used.0).max(0) as f64 / 1e6,
            "currency": "USD",
        }),
    )
}
