//! `comms_end_call`: ends a call.

use butt_dial_calls::{commands, lookup};
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, errors};

pub struct EndCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The callId, or the carrier's id of the call.
    call_id: String,
    /// A text to speak before the call ends.
    #[serde(default)]
    #[schemars(length(max = bounds::SPOKEN_TEXT))]
    text: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    call_id: String,
    /// ending: the call ends after the current speech.
    status: &'static str,
}

impl Operation for EndCall {
    const NAME: &'static str = "comms_end_call";
    const TITLE: &'static str = "End a call";
    const DESCRIPTION: &'static str = "Ends a call, after your closing text if you give one. A call that has not been answered yet is cancelled. [scope: agent]";
    const BRIEF: &'static str = "Ends a call, after a closing text if given.";
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
    const ERRORS: &'static [&'static [Code]] = &[
        errors::CALL_COMMAND,
        &[
            Code::ProviderRefused,
            Code::ProviderRateLimited,
            Code::ProviderMisconfigured,
        ],
    ];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (calls, agent) = (&context.product.calls, &context.caller.agent()?.agent.id);
        let call = lookup::resolve_granted(calls, &context.caller, &args.call_id).await?;
        commands::hang_up(calls, agent, &call, args.text).await?;
        Ok(Output {
            call_id: call.into_string(),
            status: "ending",
        })
    }
}
