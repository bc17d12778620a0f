//! Which budget stands in the way, and how much of it is left. What is written under a budget, the database itself refuses.

use butt_dial_domain::{
    Failure, Micros,
    limits::{Limits, Period},
};
use butt_dial_store::Agent;

use super::limits::{self, agent_scope, org_scope};
use crate::{Comms, store_failure};

struct Budget {
    left: i64,
    /// Whose it is.
    name: &'static str,
    period: Period,
    limit: Micros,
    used: Micros,
}

/// For what nothing is booked on: an error where the agent's or its organization's money does not hold `need`.
pub async fn check(comms: &Comms, agent: &Agent, limits: (Limits, Limits), need: Micros) -> Result<(), Failure> {
    match tightest(comms, agent, limits, need).await? {
        Some(budget) if budget.left < need.0 => Err(refuse(comms, &budget)),
        _ => Ok(()),
    }
}

/// Finds out which budget it was. The refusal itself has been decided by the database.
pub async fn refusal(comms: &Comms, agent: &Agent, limits: (Limits, Limits), need: Micros) -> Failure {
    match tightest(comms, agent, limits, need).await {
        Ok(Some(budget)) => refuse(comms, &budget),
        Ok(None) => Failure::internal(),
        Err(failure) => failure,
    }
}

fn refuse(comms: &Comms, budget: &Budget) -> Failure {
    let now = comms.clock.now();
    comms
        .metrics
        .refusal(budget.name, &format!("spend_{}", budget.period.as_str()));
    let seconds = u64::try_from((budget.period.end(now) - now).num_seconds()).unwrap_or(0);
    limits::over_budget(budget.name, budget.period, budget.limit, budget.used, seconds.max(1))
}

async fn tightest(
    comms: &Comms,
    agent: &Agent,
    (own, org): (Limits, Limits),
    need: Micros,
) -> Result<Option<Budget>, Failure> {
    let now = comms.clock.now();
    let (day, month) = (Period::Day.key(now), Period::Month.key(now));
    let scopes = [
        ("agent", agent_scope(&agent.id), own),
        ("organization", org_scope(&agent.org_id), org),
    ];
    let mut tightest: Option<Budget> = None;
    for (name, scope, limits) in scopes {
        let spend = comms
            .store
            .list_spend(&scope, &day, &month)
            .await
            .map_err(store_failure)?;
        for period in Period::ALL {
            let Some(limit) = period.limit(&limits) else { continue };
            let key = period.key(now);
            let row = spend.iter().find(|row| row.period == key);
            let used = row.map_or(0, |row| row.held + row.settled);
            let left = limit.0 - used;
            if left < need.0 || tightest.as_ref().is_none_or(|budget| left < budget.left) {
                tightest = Some(Budget {
                    left,
                    name,
                    period,
                    limit,
                    used: Micros(used),
                });
            }
        }
    }
    Ok(tightest)
}
