//! `comms_find_agent`: lists the agents of the organization.

use butt_dial_accounts::{AgentStatus, FoundAgent};
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct FindAgent;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// A part of a name or id.
    #[serde(default)]
    #[schemars(length(max = bounds::QUERY))]
    query: Option<String>,
    /// The default is true.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    include_self: Option<bool>,
    /// Agents without an address, and those that are not active, too. The default is true.
    #[serde(default)]
    #[schemars(extend("x-brief" = false))]
    include_draft: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    agent_id: String,
    /// The same as displayName.
    agent_name: String,
    display_name: String,
    status: &'static str,
    is_self: bool,
    /// The agent has no address yet.
    is_draft: bool,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// At most 200.
    agents: Vec<Found>,
    count: usize,
}

impl Operation for FindAgent {
    const NAME: &'static str = "comms_find_agent";
    const TITLE: &'static str = "Find colleagues";
    const DESCRIPTION: &'static str = "Lists the agents of your organization by a part of their name or id. Write to one with comms_message_agent. [scope: agent]";
    const BRIEF: &'static str = "Finds agents of your organization.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let caller = &context.caller;
        let found = context
            .product
            .people
            .find_agents(caller, args.query.as_deref(), args.include_self.unwrap_or(true))
            .await?;
        let own = caller.principal.agent.as_ref();
        let include_draft = args.include_draft.unwrap_or(true);
        let agents: Vec<Found> = found
            .into_iter()
            .filter(|found| include_draft || (found.has_channels && found.agent.status == AgentStatus::Active))
            .map(|FoundAgent { agent, has_channels }| Found {
                is_draft: !has_channels,
                agent_id: agent.id.host_id().to_owned(),
                is_self: Some(&agent.id) == own,
                agent_name: agent.display_name.clone(),
                display_name: agent.display_name,
                status: agent.status.as_str(),
            })
            .collect();
        Ok(Output {
            count: agents.len(),
            agents,
        })
    }
}
