//! `comms_get_call`: the details of a call.

use butt_dial_calls::lookup;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::FullCall;
use crate::{Context, Hints, Operation, Route};

pub struct GetCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The callId, or the carrier's id of the call.
    call_id: String,
}

impl Operation for GetCall {
    const NAME: &'static str = "comms_get_call";
    const TITLE: &'static str = "Details of a call";
    const DESCRIPTION: &'static str = "Returns one of your calls: its status, who answered, duration, cost, and the transcript while it is retained. \
        [scope: agent]";
    const BRIEF: &'static str = "Returns a call with its outcome and transcript.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/calls/{callId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::CallNotFound]];

    type Args = Args;
    type Output = FullCall;

    async fn run(context: Context, args: Args) -> Result<FullCall, Failure> {
        let agent = &context.caller.agent()?.agent;
        let details = lookup::get(&context.product.calls, &agent.org_id, &agent.id, &args.call_id).await?;
        Ok(details.into())
    }
}
