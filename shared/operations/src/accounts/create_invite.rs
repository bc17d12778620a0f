//! `POST /api/v1/invites`: an invite code for a registration.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};
use crate::{time, views::BothCasings};

pub struct CreateInvite;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// Days until the code expires, 1 to 365; 14 by default.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::INVITE_DAYS))]
    expires_in_days: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    /// The secret. It is returned only once.
    invite_code: String,
    expires_at: String,
}

impl Operation for CreateInvite {
    const NAME: &'static str = "create_invite";
    const TITLE: &'static str = "Create an invite code";
    const DESCRIPTION: &'static str = "Creates a code that permits one registration, where registrations need one. Requires the orchestrator's token.";
    const SCOPE: Scope = Scope::SuperAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/invites",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let days = args.expires_in_days.unwrap_or(14);
        let (invite_code, expires_at) = context.product.accounts.create_invite(&context.caller, days).await?;
        Ok(BothCasings(Output {
            invite_code,
            expires_at: time(expires_at),
        }))
    }
}
