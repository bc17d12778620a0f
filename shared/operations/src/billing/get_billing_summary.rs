//! `comms_get_billing_summary`: what an agent or an organization used, and what it costs.

use std::collections::BTreeMap;

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::{ChargeView, bill, by_channel};
use crate::{Context, Hints, Operation, Route};

pub struct GetBillingSummary;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// today, week, month (the default) or all.
    #[serde(default)]
    #[schemars(extend("enum" = ["today", "week", "month", "all"]))]
    period: Option<String>,
    /// Another agent of the organization, for administrators.
    #[serde(default)]
    agent_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    period: &'static str,
    /// The first day.
    start: String,
    /// The last day, included.
    end: String,
    currency: &'static str,
    tier: Option<String>,
    markup_percent: f64,
    billing_email: Option<String>,
    #[serde(flatten)]
    total: ChargeView,
    by_channel: BTreeMap<String, ChargeView>,
    by_agent: BTreeMap<String, ChargeView>,
}

impl Operation for GetBillingSummary {
    const NAME: &'static str = "comms_get_billing_summary";
    const TITLE: &'static str = "Billing summary";
    const DESCRIPTION: &'static str = "Returns what you used in a period by channel, what it cost, and what it is billed at. Administrators get any agent with \
        agentId. [scope: agent]";
    const BRIEF: &'static str = "Returns usage, cost and bill by channel.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/billing",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let bill = bill(&context, args.agent_id.as_deref(), args.period.as_deref(), true).await?;
        let own = context.caller.profile.as_ref();
        let own = own.filter(|_| !context.caller.principal.scope.allows(Scope::OrgAdmin));
        let own = own.map(|profile| profile.agent.id.host_id().to_owned());
        Ok(Output {
            agent_id: args.agent_id.or(own),
            period: bill.span.as_str(),
            currency: "USD",
            total: ChargeView::from(&bill.total),
            by_channel: by_channel(&bill),
            by_agent: bill
                .by_agent
                .iter()
                .map(|(agent, charge)| (agent.clone(), charge.into()))
                .collect(),
            start: bill.first_day,
            end: bill.last_day,
            tier: bill.terms.tier,
            markup_percent: bill.terms.markup_percent,
            billing_email: bill.terms.billing_email,
        })
    }
}
