//! `POST /api/orgs/me/erasure/confirm`: erases the organization.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};
use crate::{time, views::BothCasings};

pub struct ConfirmErasure;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    confirmation_token: String,
    /// true: purge all rows at once.
    #[serde(default)]
    force: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    org_id: String,
    /// erasing, or erased when all rows are purged.
    status: &'static str,
    purge_at: String,
}

impl Operation for ConfirmErasure {
    const NAME: &'static str = "confirm_erasure";
    const TITLE: &'static str = "Confirm the erasure of an organization";
    const DESCRIPTION: &'static str = "Erases the organization that a mailed confirmation token belongs to: its tokens end, its names and addresses are removed at once, and its rows are purged after seven days, or at once with force.";
    const SCOPE: Scope = Scope::Anyone;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/me/erasure/confirm",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::VerificationTokenInvalid, Code::Conflict]];

    type Args = Args;
    type Output = BothCasings<Output>;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let accounts = &context.product.accounts;
        accounts
            .take_open_request("erasure", context.request.headers.client)
            .await?;
        let outcome = accounts
            .confirm_erasure(args.confirmation_token.trim(), args.force)
            .await?;
        context.product.guard.forget_callers();
        Ok(BothCasings(Output {
            success: true,
            org_id: outcome.org.into_string(),
            status: if outcome.purged { "erased" } else { "erasing" },
            purge_at: time(outcome.purge_at),
        }))
    }
}
