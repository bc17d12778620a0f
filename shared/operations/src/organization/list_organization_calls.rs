//! `list_organization_calls`: the calls of all agents of the organization, newest first.

use butt_dial_calls::lookup;
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, calls::CallView};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListOrganizationCalls;

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Args {
    /// Only of this agent.
    agent_id: Option<String>,
    /// true: only calls that have not ended.
    live: bool,
    /// The last callId of the page before.
    before: Option<String>,
    /// 1 to 200; the default is 50.
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// Newest first.
    calls: Vec<CallOfAgent>,
    count: usize,
    /// Pass it as before. Present when there may be more.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A call, with its agent.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallOfAgent {
    agent_id: String,
    #[serde(flatten)]
    call: CallView,
}

impl Operation for ListOrganizationCalls {
    const NAME: &'static str = "list_organization_calls";
    const TITLE: &'static str = "Calls of my organization";
    const DESCRIPTION: &'static str =
        "Lists calls of all agents of the organization, newest first, in pages. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/organization/calls",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound, Code::CallNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (product, org) = (&context.product, context.caller.org()?);
        let agent = match args.agent_id.as_deref() {
            Some(id) => Some(product.agents.get(&context.caller, id).await?.agent.id),
            None => None,
        };
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let before = args.before.as_deref();
        let found = lookup::list_of_org(&product.calls, org, agent.as_ref(), args.live, limit, before).await?;
        let calls: Vec<CallOfAgent> = found
            .into_iter()
            .map(|call| CallOfAgent {
                agent_id: call.agent.host_id().to_owned(),
                call: call.into(),
            })
            .collect();
        let last = calls.last().filter(|_| calls.len() >= limit as usize);
        Ok(Output {
            count: calls.len(),
            next_cursor: last.map(|last| last.call.call_id.clone()),
            calls,
        })
    }
}
