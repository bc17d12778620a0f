//! `POST /api/orgs/me/phone/confirm`: confirms the administrator's telephone.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, views::BothCasings};

pub struct ConfirmPhone;

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
    ok: bool,
    phone_hint: String,
}

impl Operation for ConfirmPhone {
    const NAME: &'static str = "confirm_admin_phone";
    const TITLE: &'static str = "Confirm the administrator's telephone";
    const DESCRIPTION: &'static str =
        "Confirms a telephone number with the code that was sent to it. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/me/phone/confirm",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[
        Code::ChallengeNotFound,
        Code::OtpInvalid,
        Code::OtpExpired,
        Code::OtpMaxAttempts,
    ]];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let accounts = &context.product.accounts;
        let phone_hint = accounts
            .confirm_phone(&context.caller, &args.challenge_id, &args.otp)
            .await?;
        Ok(BothCasings(Output { ok: true, phone_hint }))
    }
}
