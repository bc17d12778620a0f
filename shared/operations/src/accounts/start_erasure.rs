//! `POST /api/orgs/me/erasure/start`: requests the erasure of the organization.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};
use crate::{time, views::BothCasings};

pub struct StartErasure;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    erasure_request_id: String,
    expires_at: String,
    message: &'static str,
    /// The token of the mail. Only where carriers are simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_confirmation_token: Option<String>,
}

impl Operation for StartErasure {
    const NAME: &'static str = "start_erasure";
    const TITLE: &'static str = "Request the erasure of my organization";
    const DESCRIPTION: &'static str = "Mails the owner a token that confirms the erasure of the organization and all of its data. Once per hour. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/me/erasure/start",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::RateLimited, Code::ChannelUnavailable, Code::Conflict]];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let Args {} = args;
        let started = context.product.accounts.start_erasure(&context.caller).await?;
        Ok(BothCasings(Output {
            erasure_request_id: started.id,
            expires_at: time(started.expires_at),
            message: match started.sent {
                true => "A token that confirms the erasure was mailed to the owner. It is valid for one hour.",
                false => {
                    "The token that confirms the erasure was not mailed: the organization has no owner with an address."
                }
            },
            dev_confirmation_token: started.dev_confirmation_token,
        }))
    }
}
