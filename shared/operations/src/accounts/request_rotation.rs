//! `POST /api/orgs/me/rotate-token/request`: sends the code that rotates the team token.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, errors, views::BothCasings};

pub struct RequestRotation;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    challenge_id: String,
    phone_hint: String,
    /// The code of the text message. Only where carriers are simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_otp: Option<String>,
}

impl Operation for RequestRotation {
    const NAME: &'static str = "request_token_rotation";
    const TITLE: &'static str = "Request the rotation of my team token";
    const DESCRIPTION: &'static str =
        "Sends a code to the administrator's telephone, with which the team token is replaced. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/me/rotate-token/request",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND, &[Code::PhoneNotConfigured]];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let Args {} = args;
        let sent = context.product.accounts.request_rotation(&context.caller).await?;
        Ok(BothCasings(Output {
            challenge_id: sent.challenge.into_string(),
            phone_hint: sent.phone_hint,
            dev_otp: sent.dev_otp,
        }))
    }
}
