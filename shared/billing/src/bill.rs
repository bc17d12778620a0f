//! Bills: the tier and markup of an organization and of its agents, and what their usage costs and earns. A tier sets limits that
//! are enforced like any others.

use std::collections::BTreeMap;

use butt_dial_domain::{AgentId, Code, Failure, Micros, OrgId, TokenId, limits::Limits};
use butt_dial_store::{AuditEntry, BillingConfig};
use serde_json::json;

use crate::{Billing, Span, agent_scope, org_scope};

/// Percent.
const MAX_MARKUP: f64 = butt_dial_domain::bounds::MARKUP;
/// Micro-units of cost are multiplied by the markup in hundredths of a percent.
const MARKUP_UNIT: i64 = 10_000;

/// A tier, with its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Tier {
    Free,
    Starter,
    Pro,
    Enterprise,
}

impl Tier {
    pub fn limits(self) -> Limits {
        let (minute, hour, day, spend_day, spend_month) = match self {
            Self::Free => (5, 30, 100, 1, 10),
            Self::Starter => (10, 100, 500, 10, 100),
            Self::Pro => (30, 500, 5_000, 100, 1_000),
            Self::Enterprise => (100, 2_000, 50_000, 1_000, 50_000),
        };
        let dollars = |amount: i64| Some(Micros(amount * 1_000_000));
        Limits {
            max_actions_per_minute: Some(minute),
            max_actions_per_hour: Some(hour),
            max_actions_per_day: Some(day),
            max_spend_per_day: dollars(spend_day),
            max_spend_per_month: dollars(spend_month),
        }
    }
}

/// A change of a billing configuration. An absent value stays.
pub struct BillingChange<'a> {
    /// The host's id. `None`: the organization.
    pub agent: Option<&'a str>,
    pub tier: Option<&'a str>,
    pub markup_percent: Option<f64>,
    pub billing_email: Option<&'a str>,
}

/// The configuration in force.
#[derive(Clone, Debug, PartialEq)]
pub struct BillingTerms {
    pub tier: Option<String>,
    pub markup_percent: f64,
    pub billing_email: Option<String>,
}

/// An amount of usage, its cost, and the amount that it is billed at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Charge {
    pub actions: i64,
    pub cost: Micros,
    pub billed: Micros,
}

impl Charge {
    fn add(&mut self, other: Self) {
        self.actions += other.actions;
        self.cost.0 += other.cost.0;
        self.billed.0 += other.billed.0;
    }

    pub fn income(&self) -> Micros {
        Micros(self.billed.0 - self.cost.0)
    }
}

/// A bill of an organization or of one agent.
pub struct Bill {
    pub span: Span,
    pub first_day: String,
    pub last_day: String,
    pub terms: BillingTerms,
    pub total: Charge,
    pub by_channel: BTreeMap<String, Charge>,
    /// By the host's id.
    pub by_agent: BTreeMap<String, Charge>,
}

impl Billing {
    /// Sets the billing configuration of an agent or of the organization. A tier sets the limits of the same.
    pub async fn set_billing(
        &self,
        org: &OrgId,
        actor: &TokenId,
        change: BillingChange<'_>,
    ) -> Result<BillingTerms, Failure> {
        let tier = change
            .tier
            .map(|tier| tier.parse::<Tier>())
            .transpose()
            .map_err(|_| Failure::new(Code::InvalidArgument, "tier is one of free, starter, pro, enterprise"))?;
        let markup = change.markup_percent.map(markup_of).transpose()?;
        let agent = match change.agent {
            Some(host_id) => Some(self.find_agent(org, host_id).await?),
            None => None,
        };
        let config = BillingConfig {
            tier: tier.map(|tier| tier.to_string()),
            markup,
            billing_email: change.billing_email.map(str::to_owned),
        };
        let now = self.clock.now();
        let scope = agent.as_ref().map_or_else(|| org_scope(org), agent_scope);
        if let Some(tier) = tier {
            let entry = AuditEntry::new(Some(org), actor.as_str(), "limits.set", &scope, now);
            let change = self.store.change(entry.with_detail(json!(tier.limits())));
            change.set_limits(&scope, &tier.limits(), now).await?;
        }
        let entry = AuditEntry::new(Some(org), actor.as_str(), "billing.set", &scope, now);
        let detail = json!({ "tier": config.tier, "markup": config.markup });
        let change = self.store.change(entry.with_detail(detail));
        change.set_billing_config(org, agent.as_ref(), &config, now).await?;
        self.billing_terms(org, agent.as_ref()).await
    }

    /// Bills the organization, or one of its agents.
    pub async fn bill(&self, org: &OrgId, agent: Option<&AgentId>, span: Span) -> Result<Bill, Failure> {
        let (first_day, last_day) = span.days(self.clock.now());
        let usage = self.store.sum_org_usage(org, &first_day, &last_day).await?;
        let common = markup_of(self.billing_terms(org, None).await?.markup_percent)?;
        let own: BTreeMap<String, i64> = self.store.list_agent_markups(org).await?.into_iter().collect();
        let mut bill = Bill {
            span,
            first_day,
            last_day,
            terms: self.billing_terms(org, agent).await?,
            total: Charge::default(),
            by_channel: BTreeMap::new(),
            by_agent: BTreeMap::new(),
        };
        for row in usage {
            if agent.is_some_and(|agent| agent.as_str() != row.agent_id) {
                continue;
            }
            let markup = own.get(&row.agent_id).copied().unwrap_or(common);
            let charge = Charge {
                actions: row.messages,
                cost: Micros(row.cost),
                billed: with_markup(row.cost, markup),
            };
            bill.total.add(charge);
            bill.by_channel.entry(row.channel).or_default().add(charge);
            let id = AgentId::from(row.agent_id);
            bill.by_agent.entry(id.host_id().to_owned()).or_default().add(charge);
        }
        Ok(bill)
    }

    /// Returns the configuration in force: that of the agent, with that of its organization for values that it has not.
    async fn billing_terms(&self, org: &OrgId, agent: Option<&AgentId>) -> Result<BillingTerms, Failure> {
        let common = self.store.find_billing_config(org, None).await?.unwrap_or_default();
        let own = match agent {
            Some(_) => self.store.find_billing_config(org, agent).await?.unwrap_or_default(),
            None => BillingConfig::default(),
        };
        let markup = own.markup.or(common.markup).unwrap_or(0);
        Ok(BillingTerms {
            tier: own.tier.or(common.tier),
            markup_percent: markup as f64 / 100.0,
            billing_email: own.billing_email.or(common.billing_email),
        })
    }
}

/// Converts percent to hundredths of a percent.
fn markup_of(percent: f64) -> Result<i64, Failure> {
    if !(0.0..=MAX_MARKUP).contains(&percent) {
        return Err(Failure::new(
            Code::InvalidArgument,
            format!("markupPercent is 0 to {MAX_MARKUP}"),
        ));
    }
    Ok((percent * 100.0).round() as i64)
}

fn with_markup(cost: i64, markup: i64) -> Micros {
    let extra = i128::from(cost) * i128::from(markup) / i128::from(MARKUP_UNIT);
    Micros(cost.saturating_add(i64::try_from(extra).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_added_to_cost() {
        assert_eq!(with_markup(1_000_000, 1_250), Micros(1_125_000));
        assert_eq!(with_markup(1_000_000, 0), Micros(1_000_000));
        assert_eq!(markup_of(12.5), Ok(1_250));
        assert!(markup_of(-1.0).is_err() && markup_of(500.1).is_err() && markup_of(f64::NAN).is_err());
    }

    #[test]
    fn tiers_have_limits_of_their_names() {
        assert_eq!("pro".parse(), Ok(Tier::Pro));
        assert_eq!(Tier::Free.limits().max_spend_per_month, Some(Micros(10_000_000)));
        assert_eq!(Tier::Enterprise.limits().max_actions_per_day, Some(50_000));
    }
}
