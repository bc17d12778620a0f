//! `POST /api/v1/comm-channels/{recordId}/check`: compares the webhooks of a number with those at the provider, and repairs them.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct CheckCommChannel;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    record_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    success: bool,
    number: String,
    /// The webhooks that had been changed at the provider, and are set again: sms, voice and status.
    repaired: Vec<&'static str>,
}

impl Operation for CheckCommChannel {
    const NAME: &'static str = "check_comm_channel";
    const TITLE: &'static str = "Check a number";
    const DESCRIPTION: &'static str = "Compares the webhooks of a bought or adopted number with those at the provider, and sets changed ones again. Requires \
        a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/comm-channels/{recordId}/check",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[
        Code::NotFound,
        Code::NotSupported,
        Code::ProviderRefused,
        Code::ProviderMisconfigured,
    ]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let senders = &context.product.senders;
        let check = senders.check_number(&context.caller, &args.record_id).await?;
        Ok(Output {
            success: true,
            number: check.number,
            repaired: check.repaired,
        })
    }
}
