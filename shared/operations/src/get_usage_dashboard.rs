//! `comms_get_usage_dashboard`: the agent's usage, spend and limits.

use butt_dial_billing::{Dashboard, Span};
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::{
    Context, Hints, Operation, Route,
    views::{CostsByChannel, LimitsView},
};

pub struct GetUsageDashboard;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// The default is today.
    #[serde(default)]
    #[schemars(extend("enum" = ["today", "week", "month", "all"]))]
    period: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    agent_id: String,
    total_actions: i64,
    /// Messages by channel.
    actions: BTreeMap<String, i64>,
    costs_by_channel: CostsByChannel,
    currency: &'static str,
    period: Period,
    current_usage: CurrentUsage,
    limits: LimitsView,
}

#[derive(Serialize, JsonSchema)]
pub struct Period {
    name: &'static str,
    /// The first day.
    start: String,
    /// The last day, included.
    end: String,
    timezone: &'static str,
}

/// US dollars, with reservations of unfinished sends.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CurrentUsage {
    spend_today: f64,
    spend_day_limit: Option<f64>,
    spend_month: f64,
    spend_month_limit: Option<f64>,
}

impl Operation for GetUsageDashboard {
    const NAME: &'static str = "comms_get_usage_dashboard";
    const TITLE: &'static str = "Usage and limits";
    const DESCRIPTION: &'static str = "Returns your number of actions and your spend in a period, and your limits. Use it before a large batch of messages. \
        [scope: agent]";
    const BRIEF: &'static str = "Returns your actions, spend and limits.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/usage",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let profile = context.caller.agent()?;
        let span = Span::parse(args.period.as_deref().unwrap_or("today"))?;
        let dashboard = context.product.billing.dashboard(profile, span).await?;
        Ok(view(profile.agent.id.host_id().to_owned(), dashboard))
    }
}

fn view(agent_id: String, dashboard: Dashboard) -> Output {
    let limits = dashboard.limits;
    Output {
        agent_id,
        total_actions: dashboard.messages(),
        actions: dashboard
            .by_channel
            .iter()
            // The rent of numbers is no action.
            .filter(|row| row.channel != butt_dial_billing::NUMBERS)
            .map(|row| (row.channel.clone(), row.messages))
            .collect(),
        costs_by_channel: CostsByChannel::new(&dashboard),
        currency: "USD",
        current_usage: CurrentUsage {
            spend_today: dashboard.spent_today.as_units(),
            spend_day_limit: limits.max_spend_per_day.map(|m| m.as_units()),
            spend_month: dashboard.spent_this_month.as_units(),
            spend_month_limit: limits.max_spend_per_month.map(|m| m.as_units()),
        },
        limits: limits.into(),
        period: Period {
            name: dashboard.span.as_str(),
            start: dashboard.first_day,
            end: dashboard.last_day,
            timezone: "UTC",
        },
    }
}
