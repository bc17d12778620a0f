//! `GET /api/v1/agents/{agentId}/comm-channels`: the senders of an agent.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::{RecordView, one_per_number, record_with_dns};
use crate::{Context, Hints, Operation, Route};

pub struct ListCommChannels;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    records: Vec<RecordView>,
}

impl Operation for ListCommChannels {
    const NAME: &'static str = "list_comm_channels";
    const TITLE: &'static str = "Senders of an agent";
    const DESCRIPTION: &'static str = "Lists the senders of an agent, oldest first. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/agents/{agentId}/comm-channels",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = context.product.agents.get(&context.caller, &args.agent_id).await?.agent;
        let senders = context.product.senders.list(&agent.org_id, &agent.id).await?;
        let mut records = Vec::new();
        for sender in one_per_number(senders) {
            records.push(record_with_dns(&context.product.senders, sender).await);
        }
        Ok(Output { records })
    }
}
