//! Budgets: which one refuses, and how much of it is left. The database itself refuses a reservation beyond a budget.

use butt_dial_domain::{
    Channel, Code, Failure, Micros, TokenBudget,
    clock::Timestamp,
    limits::{Limits, Period},
};
use butt_dial_store::{Agent, Profile, ServiceCharge, Spend, StoreError, TOTAL};
use serde_json::json;

use crate::{Billing, EffectiveLimits, agent_scope, org_scope, token_scope};

const TOKEN: &str = "token";
const TASK: &str = "task";

pub(crate) struct Budget {
    pub left: i64,
    /// `agent`, `organization`, `token` or `task`.
    scope: &'static str,
    /// `None`: the whole life of a token or a task.
    period: Option<Period>,
    limit: Micros,
    used: Micros,
}

impl Billing {
    /// Fails with `SpendLimit` if a budget is below `need`. Reserves nothing.
    pub async fn check_budget(&self, agent: &Agent, limits: &EffectiveLimits, need: Micros) -> Result<(), Failure> {
        match self.find_tightest_budget(agent, limits, need).await? {
            Some(budget) if budget.left < need.0 => Err(self.refuse(&budget)),
            _ => Ok(()),
        }
    }

    /// Takes one action from the rate limits and charges a service without a message, such as synthesized speech. Fails with
    /// `RateLimited` or `SpendLimit`, and charges nothing then.
    pub async fn charge_service(
        &self,
        profile: &Profile,
        token: Option<TokenBudget>,
        channel: Channel,
        price: Micros,
    ) -> Result<(), Failure> {
        let limits = self.limits_of(profile).with_token(token);
        self.take_actions(profile, &limits).await?;
        self.charge(profile, &limits, channel.as_str(), price).await
    }

    /// Takes one transcription and charges its price. Fails with `RateLimited` or `SpendLimit`, and charges nothing then.
    pub async fn charge_transcription(&self, profile: &Profile, price: Micros) -> Result<(), Failure> {
        let limits = self.limits_of(profile);
        self.take_transcription(profile).await?;
        self.charge(profile, &limits, Channel::Voice.as_str(), price).await
    }

    async fn charge(
        &self,
        profile: &Profile,
        limits: &EffectiveLimits,
        service: &str,
        price: Micros,
    ) -> Result<(), Failure> {
        let agent = &profile.agent;
        let charge = ServiceCharge {
            org: &agent.org_id,
            agent: &agent.id,
            service,
            price,
            limits: (limits.agent, limits.org),
            budget: limits.token.as_ref(),
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
        let limit = format!("spend_{}", budget.period.map_or(TOTAL, Period::as_str));
        self.metrics.record_refusal(budget.scope, &limit);
        let seconds = budget.period.map(|period| (period.end(now) - now).num_seconds());
        let seconds = seconds.map(|seconds| u64::try_from(seconds).unwrap_or(0).max(1));
        over_budget(budget, seconds)
    }

    /// Returns the budget with the least left; one that is below `need` wins over others.
    async fn find_tightest_budget(
        &self,
        agent: &Agent,
        limits: &EffectiveLimits,
        need: Micros,
    ) -> Result<Option<Budget>, Failure> {
        let now = self.clock.now();
        let day = Period::Day.key(now);
        let scopes = [
            ("agent", agent_scope(&agent.id), limits.agent),
            ("organization", org_scope(&agent.org_id), limits.org),
        ];
        let mut found = self.list_budgets(scopes, now).await?;
        if let Some(token) = &limits.token {
            let spend = self.store.list_spend(&token_scope(&token.id), &day, TOTAL).await?;
            let (daily, total) = (token.max_spend_per_day, token.max_spend);
            found.extend(daily.map(|limit| Budget::of(TOKEN, Some(Period::Day), limit, &spend, &day)));
            found.extend(total.map(|limit| Budget::of(TOKEN, None, limit, &spend, TOTAL)));
        }
        if let Some(id) = &limits.task
            && let Some(task) = self.store.find_task(&agent.org_id, id).await?
        {
            let used = task.held + task.settled;
            found.extend(task.limit.map(|limit| Budget::new(TASK, None, limit, used)));
        }
        let last_short = found.iter().rposition(|budget| budget.left < need.0);
        let tightest = last_short.or_else(|| {
            let places = found.iter().enumerate();
            places.min_by_key(|(_, budget)| budget.left).map(|(place, _)| place)
        });
        Ok(tightest.map(|place| found.swap_remove(place)))
    }

    /// Lists the budgets of a day and of a month. Each scope has its name, its key in the database and its limits.
    pub(crate) async fn list_budgets(
        &self,
        scopes: impl IntoIterator<Item = (&'static str, String, Limits)>,
        at: Timestamp,
    ) -> Result<Vec<Budget>, Failure> {
        let (day, month) = (Period::Day.key(at), Period::Month.key(at));
        let mut found = Vec::new();
        for (name, scope, limits) in scopes {
            let spend = self.store.list_spend(&scope, &day, &month).await?;
            for period in Period::ALL {
                let limit = period.limit(&limits);
                found.extend(limit.map(|limit| Budget::of(name, Some(period), limit, &spend, &period.key(at))));
            }
        }
        Ok(found)
    }
}

impl Budget {
    fn of(scope: &'static str, period: Option<Period>, limit: Micros, spend: &[Spend], key: &str) -> Self {
        let row = spend.iter().find(|row| row.period == key);
        Self::new(scope, period, limit, row.map_or(0, |row| row.held + row.settled))
    }

    fn new(scope: &'static str, period: Option<Period>, limit: Micros, used: i64) -> Self {
        Self {
            left: limit.0 - used,
            scope,
            period,
            limit,
            used: Micros(used),
        }
    }
}

/// Builds the refusal of a budget. `seconds_left`: until the next period.
fn over_budget(budget: &Budget, seconds_left: Option<u64>) -> Failure {
    let Budget { scope, limit, used, .. } = budget;
    let (name, text, hint) = match budget.period.map(Period::as_str) {
        Some(name) => (
            name,
            format!("Spend limit: this {scope} may spend {limit} per {name}"),
            "wait for the next period, or have an administrator raise the limit",
        ),
        None => (
            TOTAL,
            format!("Spend limit: this {scope} may spend {limit} in all"),
            match *scope {
                TASK => "an administrator can raise the limit of the task",
                _ => "an administrator can create a token that may spend more",
            },
        ),
    };
    let failure = Failure::new(Code::SpendLimit, text)
        .hint(hint)
        .detail("scope", *scope)
        .detail(
            "limit",
            json!({
                "period": name,
                "limit": limit.as_units(),
                "used": used.as_units(),
                "remaining": (limit.0 - used.0).max(0) as f64 / 1e6,
                "currency": "USD",
            }),
        );
    match seconds_left {
        Some(seconds) => failure.retry_after(seconds),
        None => failure.lasting(),
    }
}
