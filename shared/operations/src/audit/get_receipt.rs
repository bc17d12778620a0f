//! `GET /api/v1/messages/{messageId}/receipt`: the proof of a send.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct GetReceipt;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The messageId that comms_send_message returned, or the carrier's id.
    external_id: String,
}

/// A receipt of C2SP (tlog-proof), with the entry and what it commits to as `extra`. docs/verify.py verifies it.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Receipt(String);

impl Operation for GetReceipt {
    const NAME: &'static str = "get_receipt";
    const TITLE: &'static str = "Receipt of a send";
    const DESCRIPTION: &'static str = "Returns the proof that the outcome of a message is in the audit log: accepted or refused by the carrier, or unconfirmed. It is available \
        within seconds of the outcome. It contains the addresses of the message, so keep it like the message.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/messages/{externalId}/receipt",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::MessageNotFound, Code::NotFound, Code::Conflict]];
    const CONTENT_TYPE: &'static str = "text/plain; charset=utf-8";

    type Args = Args;
    type Output = Receipt;

    fn text(output: &Receipt) -> Option<String> {
        Some(output.0.clone())
    }

    async fn run(context: Context, args: Args) -> Result<Receipt, Failure> {
        let agent = &context.caller.agent()?.agent;
        let message = context
            .product
            .outbound
            .find_message(&agent.id, &args.external_id)
            .await?;
        let message = message.ok_or_else(|| Failure::new(Code::MessageNotFound, "there is no message with this id"))?;
        let receipt = context.product.audit.receipt(&agent.org_id, &message).await?;
        receipt.map(Receipt).ok_or_else(|| {
            Failure::new(
                Code::NotFound,
                "the outcome of this message is not in the audit log yet",
            )
            .hint("repeat the request in a few seconds")
        })
    }
}
