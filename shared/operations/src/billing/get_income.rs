//! `comms_get_income`: what an agent's usage earns.

use std::collections::BTreeMap;

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::{ChargeView, bill, by_channel};
use crate::{Context, Hints, Operation, Route};

pub struct GetIncome;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// today, week, month (the default) or all.
    #[serde(default)]
    #[schemars(extend("enum" = ["today", "week", "month", "all"]))]
    period: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    period: &'static str,
    currency: &'static str,
    #[serde(flatten)]
    total: ChargeView,
    by_channel: BTreeMap<String, ChargeView>,
}

impl Operation for GetIncome {
    const NAME: &'static str = "comms_get_income";
    const TITLE: &'static str = "Income";
    const DESCRIPTION: &'static str =
        "Returns what your usage in a period cost, what it is billed at, and the difference. [scope: agent]";
    const BRIEF: &'static str = "Returns cost, bill and the difference.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let bill = bill(&context, None, args.period.as_deref(), false).await?;
        Ok(Output {
            period: bill.span.as_str(),
            currency: "USD",
            total: ChargeView::from(&bill.total),
            by_channel: by_channel(&bill),
        })
    }
}
