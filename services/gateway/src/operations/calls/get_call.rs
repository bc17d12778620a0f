//! `comms_get_call`: all that is known of a call.

use butt_dial_comms::calls::known;
use butt_dial_domain::{Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::FullCall;
use crate::operations::{Context, Hints, Operation, Route};

pub struct GetCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Our id of the call, or the carrier's.
    #[serde(alias = "call_id", alias = "callSid", alias = "call_sid")]
    call_id: String,
}

impl Operation for GetCall {
    const NAME: &'static str = "comms_get_call";
    const TITLE: &'static str = "A call";
    const DESCRIPTION: &'static str = "Returns one of your calls: how it stands or ended, who answered, how long it was, what it cost, \
        and what was said as long as that is kept. [scope: agent]";
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

    type Args = Args;
    type Output = FullCall;

    async fn run(context: Context, args: Args) -> Result<FullCall, Failure> {
        let agent = &context.caller.agent()?.agent;
        let known = known::get(&context.comms, &agent.org_id, &agent.id, &args.call_id).await?;
        Ok(known.into())
    }
}
