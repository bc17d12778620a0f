//! `comms_send_digits`: presses keys on a live call.

use butt_dial_calls::{digits, lookup};
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, errors};

pub struct SendDigits;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The callId, or the carrier's id of the call.
    call_id: String,
    /// The keys: 0-9, * and #; w is a pause of half a second. At most 64.
    #[schemars(extend("examples" = ["1w2#"]))]
    digits: String,
    /// A repeated request with the same key presses nothing.
    #[serde(default)]
    #[schemars(length(max = bounds::IDEMPOTENCY_KEY))]
    idempotency_key: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    call_id: String,
    /// The keys are being pressed, after the speech before them.
    sent: bool,
    /// The last turn.
    turn_id: String,
}

impl Operation for SendDigits {
    const NAME: &'static str = "comms_send_digits";
    const TITLE: &'static str = "Press keys in a call";
    const DESCRIPTION: &'static str = "Presses keys in a call, such as the choices of a phone menu. For a menu that answers after a transfer, give digits to \
        comms_transfer_call. [scope: agent]";
    const BRIEF: &'static str = "Presses keys in a call.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/calls/{callId}/digits",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::CALL_COMMAND, &[Code::NotSupported]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (calls, agent) = (&context.product.calls, &context.caller.agent()?.agent.id);
        let call = lookup::resolve_granted(calls, &context.caller, &args.call_id).await?;
        let completed = digits::send_digits(calls, agent, &call, &args.digits, args.idempotency_key).await?;
        Ok(Output {
            call_id: call.into_string(),
            sent: true,
            turn_id: completed.turn.to_string(),
        })
    }
}
