//! `comms_end_call`: the call ends.

use butt_dial_comms::calls::{known, orders};
use butt_dial_domain::{Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operations::{Context, Hints, Operation, Route};

pub struct EndCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Our id of the call, or the carrier's.
    #[serde(alias = "call_id", alias = "callSid", alias = "call_sid")]
    call_id: String,
    /// Your last words.
    #[serde(default)]
    text: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    call_id: String,
    /// ending: once what is being said has been heard.
    status: &'static str,
}

impl Operation for EndCall {
    const NAME: &'static str = "comms_end_call";
    const TITLE: &'static str = "End a call";
    const DESCRIPTION: &'static str = "Ends a call, after your last words where you give some. A call that nobody has answered yet is \
        taken back. [scope: agent]";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/calls/{callId}/end",
        status: 200,
    });

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (comms, agent) = (&context.comms, &context.caller.agent()?.agent.id);
        let call = known::resolve(comms, agent, &args.call_id).await?;
        orders::hang_up(comms, agent, &call, args.text).await?;
        Ok(Output {
            call_id: call.into_string(),
            status: "ending",
        })
    }
}
