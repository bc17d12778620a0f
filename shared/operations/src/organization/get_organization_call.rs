//! `get_organization_call`: one call of any agent of the organization.

use butt_dial_calls::lookup;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, calls::FullCall};

pub struct GetOrganizationCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The callId, or the carrier's id of the call.
    call_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    agent_id: String,
    #[serde(flatten)]
    call: FullCall,
}

impl Operation for GetOrganizationCall {
    const NAME: &'static str = "get_organization_call";
    const TITLE: &'static str = "One call of my organization";
    const DESCRIPTION: &'static str = "Returns one call of any agent of the organization: its status, who answered, duration, cost, the transcript while it is \
        retained, and the conversation so far while it is live. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/organization/calls/{callId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::CallNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let org = context.caller.org()?;
        let details = lookup::get_of_org(&context.product.calls, org, &args.call_id).await?;
        Ok(Output {
            agent_id: details.record.agent.host_id().to_owned(),
            call: details.into(),
        })
    }
}
