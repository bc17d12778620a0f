//! `POST /api/orgs/verify`: verifies the owner with the token of the mailed link.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::views::VerifiedView;
use crate::views::BothCasings;
use crate::{Context, Hints, Operation, Route};

pub struct Verify;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    token: String,
}

impl Operation for Verify {
    const NAME: &'static str = "verify_organization";
    const TITLE: &'static str = "Verify an organization";
    const DESCRIPTION: &'static str = "Verifies the owner of an organization with the token of the mailed link, which is used up. Returns the team token, or the session in which the terms have to be accepted.";
    const SCOPE: Scope = Scope::Anyone;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/verify",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::VerificationTokenInvalid, Code::VerificationTokenExpired]];

    type Args = Args;
    type Output = BothCasings<VerifiedView>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let client = context.request.headers.client;
        let accounts = &context.product.accounts;
        accounts.take_open_request("verify", client).await?;
        Ok(VerifiedView::new(accounts.verify(args.token.trim()).await?))
    }
}
