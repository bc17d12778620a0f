//! `comms_transfer_call`: the caller is handed to somebody else.

use butt_dial_comms::calls::{
    hand_over::{HandOver, hand_over},
    known,
};
use butt_dial_domain::{Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operations::{Context, Hints, Operation, Route};

pub struct TransferCall;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Our id of the call, or the carrier's.
    #[serde(alias = "call_id", alias = "callSid", alias = "call_sid")]
    call_id: String,
    /// The telephone number of whoever takes the call over, in E.164 form.
    to: String,
    /// What the caller hears before.
    #[serde(default, alias = "announcement_text")]
    announcement_text: Option<String>,
    /// What the one who takes over hears before both are connected.
    #[serde(default)]
    summary: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    call_id: String,
    /// transferring: once what is being said has been heard. When nobody can be reached there, the call comes back to you.
    status: &'static str,
    to: String,
    /// Whoever takes over is told something first.
    warm: bool,
}

impl Operation for TransferCall {
    const NAME: &'static str = "comms_transfer_call";
    const TITLE: &'static str = "Hand a call over";
    const DESCRIPTION: &'static str = "Connects the caller with another number, after your announcement. With a summary, whoever takes \
        over hears that first. It counts as a call of yours. Your part of the call is over with that, unless nobody answers there. [scope: agent]";
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

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (comms, agent) = (&context.comms, &context.caller.agent()?.agent.id);
        let call = known::resolve(comms, agent, &args.call_id).await?;
        let whisper = args.summary.filter(|summary| !summary.trim().is_empty());
        let warm = whisper.is_some();
        let wanted = HandOver {
            to: args.to,
            announcement: args.announcement_text,
            whisper,
        };
        let to = hand_over(comms, &context.caller, &call, wanted).await?;
        Ok(Output {
            call_id: call.into_string(),
            status: "transferring",
            to,
            warm,
        })
    }
}
