//! Changing the limits of an agent or an organization.

use butt_dial_domain::{AgentId, Code, Failure, Micros, OrgId, TokenId, ids, limits::Limits};
use butt_dial_store::AuditEntry;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use crate::{Billing, agent_scope, org_scope};

/// A change of limits in its wire form: an absent field keeps the limit, `null` removes it.
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

/// Distinguishes `null` (`Some(None)`) from an absent field (`None`).
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

impl Billing {
    /// Sets the limits of one agent, by its host's id, or of the whole organization if `agent` is `None`, and writes an audit entry for
    /// `actor`. Returns the limits in force. Fails with `AgentNotFound` for an agent of another organization.
    pub async fn set_limits(
        &self,
        org: &OrgId,
        actor: &TokenId,
        agent: Option<&str>,
        change: &LimitsChange,
    ) -> Result<Limits, Failure> {
        let (scope, limits) = self.changed_limits(org, agent, change).await?;
        let now = self.clock.now();
        let entry = AuditEntry::new(Some(org), actor.as_str(), "limits.set", &scope, now);
        let change = self.store.change(entry.with_detail(json!(limits)));
        change.set_limits(&scope, &limits, now).await?;
        Ok(limits)
    }

    /// Returns the limits that a change would put in force.
    pub async fn preview_limits(
        &self,
        org: &OrgId,
        agent: Option<&str>,
        change: &LimitsChange,
    ) -> Result<Limits, Failure> {
        Ok(self.changed_limits(org, agent, change).await?.1)
    }

    async fn changed_limits(
        &self,
        org: &OrgId,
        agent: Option<&str>,
        change: &LimitsChange,
    ) -> Result<(String, Limits), Failure> {
        let (scope, default) = match agent {
            Some(host_id) => (agent_scope(&self.find_agent(org, host_id).await?), self.default_limits),
            None => (org_scope(org), Limits::default()),
        };
        let mut limits = self.store.find_limits(&scope).await?.unwrap_or(default);
        change.apply(&mut limits)?;
        Ok((scope, limits))
    }

    pub(crate) async fn find_agent(&self, org: &OrgId, host_id: &str) -> Result<AgentId, Failure> {
        let unknown = || Failure::new(Code::AgentNotFound, "there is no such agent");
        if !ids::is_valid_host_id(host_id) {
            return Err(unknown());
        }
        self.store.find_agent_id(org, host_id).await?.ok_or_else(unknown)
    }
}
