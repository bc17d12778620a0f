//! `POST /api/orgs/me/phone/set`: sends a code to the administrator's telephone.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, errors, views::BothCasings};

pub struct SetPhone;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// In E.164 form.
    phone: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    challenge_id: String,
    phone_hint: String,
    /// The code of the text message. Only where carriers are simulated.
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_otp: Option<String>,
}

impl Operation for SetPhone {
    const NAME: &'static str = "set_admin_phone";
    const TITLE: &'static str = "Set the administrator's telephone";
    const DESCRIPTION: &'static str = "Sends a code to a telephone number, which confirms it as the number that rotates the team token. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/me/phone/set",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[errors::SEND, &[Code::PhoneInvalid]];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let sent = context.product.accounts.set_phone(&context.caller, &args.phone).await?;
        Ok(BothCasings(Output {
            challenge_id: sent.challenge.into_string(),
            phone_hint: sent.phone_hint,
            dev_otp: sent.dev_otp,
        }))
    }
}
