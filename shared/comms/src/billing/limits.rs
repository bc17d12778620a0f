//! The action limits of an agent and its organization as quotas of one atomic take.

use std::time::Duration;

use butt_dial_domain::{
    AgentId, Code, Failure, Micros, OrgId, ids, keys,
    limits::{Limits, Period, Window},
    ports::kv::Quota,
};
use butt_dial_store::{AuditEntry, Profile};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::{Comms, identity::Caller, store_failure};

/// One quota, and what to call it when it refuses.
pub struct NamedQuota {
    pub scope: &'static str,
    pub window: Window,
    pub quota: Quota,
}

/// The quotas that a send of this agent takes from; limits that are not set have none.
pub fn quotas(profile: &Profile, agent: &Limits, org: &Limits) -> Vec<NamedQuota> {
    let org_id = &profile.agent.org_id;
    let mut quotas = Vec::with_capacity(4);
    for window in Window::ALL {
        let name = window.as_str();
        let mut add = |scope, limit: Option<u32>, key: String| {
            if let Some(limit) = limit {
                let period = Duration::from_secs(window.seconds());
                quotas.push(NamedQuota {
                    scope,
                    window,
                    quota: Quota { key, limit, period },
                });
            }
        };
        add(
            "agent",
            window.limit(agent),
            keys::agent_limit(org_id, &profile.agent.id, name),
        );
        add("organization", window.limit(org), keys::org_limit(org_id, name));
    }
    quotas
}

pub fn agent_scope(agent: &AgentId) -> String {
    format!("agt:{agent}")
}

pub fn org_scope(org: &OrgId) -> String {
    format!("org:{org}")
}

/// The refusal of a quota, saying which one, how much is left and when to come back.
pub fn rate_limited(refused: &NamedQuota, remaining: u32, retry_after: Duration) -> Failure {
    let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
    let (scope, window, limit) = (refused.scope, refused.window.as_str(), refused.quota.limit);
    Failure::new(
        Code::RateLimited,
        format!("Rate limit: {limit} actions per {window} for this {scope}"),
    )
    .remedy("wait as long as retryAfterSeconds says, then send again with the same idempotencyKey")
    .retry_after(seconds.max(1))
    .detail("scope", scope)
    .detail(
        "limit",
        json!({ "window": window, "limit": limit, "remaining": remaining }),
    )
}

/// The refusal of a budget.
pub fn over_budget(scope: &'static str, period: Period, limit: Micros, used: Micros, seconds_left: u64) -> Failure {
    let name = period.as_str();
    Failure::new(
        Code::SpendLimit,
        format!("Spend limit: this {scope} may spend {limit} per {name}"),
    )
    .remedy("wait for the next period, or have an administrator raise the limit")
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

/// A change of limits as the wire has it: a field that is absent stays, `null` removes the limit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsChange {
    /// Actions per minute; null removes the limit.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<u32>")]
    pub max_actions_per_minute: Option<Option<u32>>,
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<u32>")]
    pub max_actions_per_hour: Option<Option<u32>>,
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<u32>")]
    pub max_actions_per_day: Option<Option<u32>>,
    /// US dollars per calendar day (UTC); null removes the limit, 0 stops all spending.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<f64>")]
    pub max_spend_per_day: Option<Option<f64>>,
    /// US dollars per calendar month (UTC).
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<f64>")]
    pub max_spend_per_month: Option<Option<f64>>,
}

/// Tells `null` (removes) from absent (stays).
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(input).map(Some)
}

impl LimitsChange {
    fn apply(&self, limits: &mut Limits) -> Result<(), Failure> {
        let actions = |target: &mut Option<u32>, change: Option<Option<u32>>| match change {
            Some(Some(0)) => Err(Failure::new(
                Code::InvalidArgument,
                "an action limit is at least 1; pause the channel to stop an agent",
            )),
            Some(value) => {
                *target = value;
                Ok(())
            }
            None => Ok(()),
        };
        let money = |target: &mut Option<Micros>, change: Option<Option<f64>>| {
            let Some(change) = change else { return Ok(()) };
            *target = match change {
                None => None,
                Some(units) => Some(Micros::from_units(units).filter(|m| m.0 >= 0).ok_or_else(|| {
                    Failure::new(
                        Code::InvalidArgument,
                        "a spend limit is an amount in US dollars, 0 or more",
                    )
                })?),
            };
            Ok(())
        };
        actions(&mut limits.max_actions_per_minute, self.max_actions_per_minute)?;
        actions(&mut limits.max_actions_per_hour, self.max_actions_per_hour)?;
        actions(&mut limits.max_actions_per_day, self.max_actions_per_day)?;
        money(&mut limits.max_spend_per_day, self.max_spend_per_day)?;
        money(&mut limits.max_spend_per_month, self.max_spend_per_month)
    }
}

/// Sets the limits of one agent, or of the whole organization when no agent is named. Returns what is in force.
pub async fn set(
    comms: &Comms,
    caller: &Caller,
    agent: Option<&AgentId>,
    change: &LimitsChange,
) -> Result<Limits, Failure> {
    let org = caller.org()?;
    let (scope, default) = match agent {
        Some(agent) if !ids::is_valid_host_id(agent.as_str()) => {
            return Err(Failure::new(Code::AgentNotFound, "there is no such agent"));
        }
        Some(agent) => {
            let found = comms.store.find_agent(org, agent).await.map_err(store_failure)?;
            found.ok_or_else(|| Failure::new(Code::AgentNotFound, "there is no such agent"))?;
            (agent_scope(agent), comms.settings.default_limits)
        }
        None => (org_scope(org), Limits::default()),
    };
    let mut limits = comms
        .store
        .find_limits(&scope)
        .await
        .map_err(store_failure)?
        .unwrap_or(default);
    change.apply(&mut limits)?;
    let now = comms.clock.now();
    comms
        .store
        .set_limits(&scope, &limits, now)
        .await
        .map_err(store_failure)?;
    let entry = AuditEntry {
        org_id: Some(org.to_string()),
        actor: caller.principal.token.to_string(),
        action: "limits.set".into(),
        target: scope,
        detail: json!(limits),
        at: now,
    };
    comms.store.append_audit(&entry).await.map_err(store_failure)?;
    Ok(limits)
}
