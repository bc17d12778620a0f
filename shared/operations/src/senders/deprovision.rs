//! `POST /api/v1/deprovision`: releases all senders of an agent.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::{RecordView, records};
use crate::{Context, Hints, Operation, Route};

pub struct Deprovision;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_id: String,
    /// false: the senders stay with the organization, in its pool. The default is true.
    #[serde(default)]
    release_number: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    agent_id: String,
    released: Vec<RecordView>,
}

impl Operation for Deprovision {
    const NAME: &'static str = "deprovision";
    const TITLE: &'static str = "Deprovision an agent";
    const DESCRIPTION: &'static str = "Takes all senders of an agent out of use at once; bought numbers return to their provider after the hold. The agent \
        stays registered. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/deprovision",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = context.product.agents.get(&context.caller, &args.agent_id).await?.agent;
        let keeps = args.release_number == Some(false);
        let senders = &context.product.senders;
        let released = senders.release_agent(&context.caller, &agent.id, keeps).await?;
        Ok(Output {
            success: true,
            agent_id: agent.id.host_id().to_owned(),
            released: records(released),
        })
    }
}
