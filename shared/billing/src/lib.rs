//! Billing: rate limits, budgets, prices and usage.
//!
//! [`Billing`] is the one handle. Before a send it takes from every rate limit in one atomic step; the database enforces
//! budgets, and this crate explains its refusals. Estimates from [`Prices`] are reserved before a send and corrected by the
//! carrier's price. It fails closed: a limit that cannot be checked refuses.

mod bill;
mod bill_export;
mod budget;
mod limits;
mod organization;
mod prices;
mod rate_limits;
mod rent;
mod tasks;
mod usage;

use std::sync::Arc;

use butt_dial_domain::{Clock, TokenBudget, limits::Limits, ports::kv::Kv};
use butt_dial_store::{Profile, Store};
use prometheus::{IntCounterVec, Opts, Registry};

pub use bill::{Bill, BillingChange, BillingTerms, Charge, Tier};
pub use bill_export::{Export, ExportRequest};
pub use butt_dial_store::NUMBERS;
pub use limits::LimitsChange;
pub use organization::{DailyUsage, OrgSpend, PeriodSpend};
pub use prices::{PriceList, Prices};
pub use rate_limits::TakenQuotas;
pub use rent::Rent;
pub use tasks::{Task, require_task_id};
pub use usage::{Dashboard, Span};

/// The limits in force for one agent: its own, its organization's, and those of its token and of the task.
#[derive(Clone, Debug)]
pub struct EffectiveLimits {
    pub agent: Limits,
    pub org: Limits,
    /// The budget of the restricted token that acts.
    pub token: Option<TokenBudget>,
    /// The task that a message or call belongs to. Its budget is in the database.
    pub task: Option<String>,
}

impl EffectiveLimits {
    /// No limits, for what is not an action of the agent.
    pub fn unlimited() -> Self {
        Self {
            agent: Limits::default(),
            org: Limits::default(),
            token: None,
            task: None,
        }
    }

    /// Adds the budget of a restricted token.
    #[must_use]
    pub fn with_token(self, token: Option<TokenBudget>) -> Self {
        Self { token, ..self }
    }

    /// Adds the budget of a task.
    #[must_use]
    pub fn with_task(self, task: Option<String>) -> Self {
        Self { task, ..self }
    }
}

/// Checks limits and budgets, and reports usage. Cheap to clone.
#[derive(Clone)]
pub struct Billing {
    store: Store,
    kv: Arc<dyn Kv>,
    clock: Clock,
    /// For agents without limits of their own.
    default_limits: Limits,
    prices: Arc<Prices>,
    metrics: Metrics,
}

impl Billing {
    pub fn new(
        store: Store,
        kv: Arc<dyn Kv>,
        clock: Clock,
        default_limits: Limits,
        prices: Arc<Prices>,
        metrics: Metrics,
    ) -> Self {
        Self {
            store,
            kv,
            clock,
            default_limits,
            prices,
            metrics,
        }
    }

    /// Returns the prices that are valid today.
    pub fn prices(&self) -> PriceList<'_> {
        self.prices.on(self.clock.now().date_naive())
    }

    /// Returns the limits in force, with those of a temporary restraint.
    pub fn limits_of(&self, profile: &Profile) -> EffectiveLimits {
        let mut agent = profile.agent_limits.unwrap_or(self.default_limits);
        if profile.restraints.throttle.is_some()
            && let Some(throttle) = profile.restraints.throttle_at(self.clock.now())
        {
            let own = agent.max_actions_per_minute.unwrap_or(u32::MAX);
            agent.max_actions_per_minute = Some(own.min(throttle));
        }
        EffectiveLimits {
            agent,
            org: profile.org_limits.unwrap_or_default(),
            token: None,
            task: None,
        }
    }
}

/// Metrics of limits. Labels are bounded: never an id.
#[derive(Clone)]
pub struct Metrics {
    refusals: IntCounterVec,
}

impl Metrics {
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("bd_limit_refusals_total", "Sends refused by a limit.");
        let refusals = IntCounterVec::new(opts, &["scope", "limit"])?;
        registry.register(Box::new(refusals.clone()))?;
        Ok(Self { refusals })
    }

    fn record_refusal(&self, scope: &str, limit: &str) {
        self.refusals.with_label_values(&[scope, limit]).inc();
    }
}

/// The key of an agent's limits and spend in the database.
fn agent_scope(agent: &butt_dial_domain::AgentId) -> String {
    format!("agt:{agent}")
}

/// The key of the spend of a restricted token in the database.
fn token_scope(budget: &str) -> String {
    format!("tok:{budget}")
}

/// The key of an organization's limits and spend in the database.
fn org_scope(org: &butt_dial_domain::OrgId) -> String {
    format!("org:{org}")
}
