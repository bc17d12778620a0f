//! `POST /api/orgs/me/rotate-token/confirm`: replaces the team token.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, views::BothCasings};

pub struct ConfirmRotation;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    challenge_id: String,
    /// The code of the text message.
    otp: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The secret. It is returned only once.
    token: String,
    team_token: String,
}

impl Operation for ConfirmRotation {
    const NAME: &'static str = "confirm_token_rotation";
    const TITLE: &'static str = "Rotate my team token";
    const DESCRIPTION: &'static str = "Replaces the team token of the request by a new one, with the code that was sent to the administrator's telephone. The old one is refused on every replica within a second.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/me/rotate-token/confirm",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[
        Code::ChallengeNotFound,
        Code::OtpInvalid,
        Code::OtpExpired,
        Code::OtpMaxAttempts,
        Code::Conflict,
    ]];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let accounts = &context.product.accounts;
        let token = accounts
            .confirm_rotation(&context.caller, &args.challenge_id, &args.otp)
            .await?;
        context.product.guard.forget_callers();
        Ok(BothCasings(Output {
            team_token: token.clone(),
            token,
        }))
    }
}
