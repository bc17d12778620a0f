//! `GET /api/v1/agents`: the organization's agents, in pages.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::time};

const DEFAULT_LIMIT: u32 = 50;

pub struct ListAgents;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// 1 to 200; the default is 50.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::PAGE))]
    limit: Option<u32>,
    /// The last id of the previous page.
    #[serde(default)]
    after: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    agents: Vec<Item>,
    count: usize,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    agent_id: String,
    display_name: String,
    status: &'static str,
    created_at: String,
}

impl Operation for ListAgents {
    const NAME: &'static str = "list_agents";
    const TITLE: &'static str = "List agents";
    const DESCRIPTION: &'static str = "Lists the organization's agents, in pages. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/agents",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let limit = args.limit.unwrap_or(DEFAULT_LIMIT);
        let agents = &context.product.agents;
        let found = agents.list(&context.caller, args.after.as_deref(), limit).await?;
        let agents: Vec<Item> = found
            .into_iter()
            .map(|agent| Item {
                agent_id: agent.id.host_id().to_owned(),
                display_name: agent.display_name,
                status: agent.status.as_str(),
                created_at: time(agent.created_at),
            })
            .collect();
        Ok(Output {
            count: agents.len(),
            agents,
        })
    }
}
