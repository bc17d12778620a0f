//! `comms_list_calls`: the agent's calls, newest first.

use butt_dial_calls::lookup;
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::CallView;
use crate::{Context, Hints, Operation, Route};

const LIMIT: u32 = 50;

pub struct ListCalls;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// true: only calls that have not ended.
    #[serde(default)]
    live: bool,
    /// 1 to 200; the default is 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
    /// Only calls older than this one: the last callId of the previous page.
    #[serde(default)]
    before: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Newest first.
    calls: Vec<CallView>,
    count: usize,
}

impl Operation for ListCalls {
    const NAME: &'static str = "comms_list_calls";
    const TITLE: &'static str = "My calls";
    const DESCRIPTION: &'static str =
        "Lists your calls, newest first: outbound and inbound calls with their status and outcome. [scope: agent]";
    const BRIEF: &'static str = "Lists your calls, newest first.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/calls",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::CallNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent.id;
        let (limit, before) = (args.limit.unwrap_or(LIMIT), args.before.as_deref());
        let calls = lookup::list(&context.product.calls, agent, args.live, limit, before).await?;
        let calls: Vec<CallView> = calls.into_iter().map(CallView::from).collect();
        Ok(Output {
            count: calls.len(),
            calls,
        })
    }
}
