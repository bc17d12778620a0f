//! `POST /api/orgs/onboarding/accept`: accepts the terms, after the verification.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::views::VerifiedView;
use crate::views::BothCasings;
use crate::{Context, Hints, Operation, Route};

pub struct AcceptOnboarding;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    session_id: String,
    /// The version of the terms that the owner accepts.
    version: String,
}

impl Operation for AcceptOnboarding {
    const NAME: &'static str = "accept_onboarding";
    const TITLE: &'static str = "Accept the terms";
    const DESCRIPTION: &'static str =
        "Accepts a version of the terms in the session that the verification has returned. Returns the team token.";
    const SCOPE: Scope = Scope::Anyone;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/onboarding/accept",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[
        Code::OnboardingSessionInvalid,
        Code::OnboardingSessionExpired,
        Code::TosVersionMismatch,
    ]];

    type Args = Args;
    type Output = BothCasings<VerifiedView>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let client = context.request.headers.client;
        let accounts = &context.product.accounts;
        accounts.take_open_request("onboarding", client).await?;
        let verified = accounts.accept_terms(args.session_id.trim(), &args.version).await?;
        Ok(VerifiedView::new(verified))
    }
}
