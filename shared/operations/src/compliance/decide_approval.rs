//! `comms_decide_approval`: approves or rejects a message that a rule holds.

use butt_dial_domain::{Code, Failure, MessageId, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct DecideApproval;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    message_id: String,
    decision: Decision,
}

#[derive(Clone, Copy, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    Approve,
    Reject,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    message_id: String,
    decision: Decision,
}

impl Operation for DecideApproval {
    const NAME: &'static str = "comms_decide_approval";
    const TITLE: &'static str = "Approve or reject a message";
    const DESCRIPTION: &'static str = "Approves or rejects a message with the status pending_approval. An approved message passes the rules again and is then sent; \
        its agent gets an event about the outcome. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/approvals/{messageId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::MessageNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let id = MessageId::from(args.message_id.as_str());
        let approves = matches!(args.decision, Decision::Approve);
        let outbound = &context.product.outbound;
        outbound.decide_approval(&context.caller, &id, approves).await?;
        Ok(Output {
            message_id: args.message_id,
            decision: args.decision,
        })
    }
}
