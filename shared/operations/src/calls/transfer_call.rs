//! `comms_transfer_call`: connects the caller with another number.

use butt_dial_calls::{
    lookup,
    transfer::{TransferRequest, transfer},
};
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, errors};

pub struct TransferCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The callId, or the carrier's id of the call.
    call_id: String,
    /// The telephone number to connect the caller with, in E.164 form.
    #[schemars(extend("examples" = ["+14155550188"]))]
    to: String,
    /// A text that the caller hears first.
    #[serde(default)]
    #[schemars(length(max = bounds::SPOKEN_TEXT))]
    announcement_text: Option<String>,
    /// A text that the transfer target hears before both are connected.
    #[serde(default)]
    #[schemars(extend("x-brief" = "Spoken to the target."))]
    #[schemars(length(max = bounds::SPOKEN_TEXT))]
    summary: Option<String>,
    /// Keys that are pressed when the target answers, such as an extension: 0-9, * and #; w is a pause of half a second.
    #[serde(default)]
    #[schemars(extend("examples" = ["ww12#"]))]
    digits: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    call_id: String,
    /// transferring: the transfer starts after the current speech. When the target does not answer, the call returns to you.
    status: &'static str,
    to: String,
    /// The target hears a summary first.
    warm: bool,
}

impl Operation for TransferCall {
    const NAME: &'static str = "comms_transfer_call";
    const TITLE: &'static str = "Transfer a call";
    const DESCRIPTION: &'static str = "Connects the caller with another number, after your announcement. With a summary, the target hears it before both are \
        connected. The transfer counts as a call of yours and ends your part, unless the target does not answer. \
        [scope: agent]";
    const BRIEF: &'static str = "Connects the caller with another number.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/calls/{callId}/transfer",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND, errors::CALL_COMMAND];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let calls = &context.product.calls;
        let call = lookup::resolve_granted(calls, &context.caller, &args.call_id).await?;
        let whisper = args.summary.filter(|summary| !summary.trim().is_empty());
        let warm = whisper.is_some();
        let request = TransferRequest {
            to: args.to,
            announcement: args.announcement_text,
            whisper,
            digits: args.digits.filter(|digits| !digits.trim().is_empty()),
        };
        let to = transfer(calls, &context.caller, &call, request).await?;
        Ok(Output {
            call_id: call.into_string(),
            status: "transferring",
            to,
            warm,
        })
    }
}
