//! `comms_cancel_scheduled_message`: cancels a message before it is sent.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

pub struct CancelScheduled;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The messageId that comms_send_message returned.
    message_id: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    message_id: String,
    /// cancelled: the message does not leave.
    status: &'static str,
}

impl Operation for CancelScheduled {
    const NAME: &'static str = "comms_cancel_scheduled_message";
    const TITLE: &'static str = "Cancel a scheduled message";
    const DESCRIPTION: &'static str = "Cancels one of your scheduled messages. It is then never sent. Fails when the message has left already, or is being sent \
        right now. [scope: agent]";
    const BRIEF: &'static str = "Cancels a scheduled message.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/v1/scheduled-messages/{messageId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::MessageNotFound, Code::NotCancellable]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (outbound, agent) = (&context.product.outbound, &context.caller.agent()?.agent.id);
        outbound.cancel_scheduled(agent, &args.message_id).await?;
        Ok(Output {
            message_id: args.message_id,
            status: "cancelled",
        })
    }
}
