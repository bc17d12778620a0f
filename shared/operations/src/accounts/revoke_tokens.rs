//! `POST /api/orgs/me/tokens/revoke`: revokes the team token of the request, or all.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct RevokeTokens;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// true: all team tokens of the organization.
    #[serde(default)]
    all: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    revoked: u64,
}

impl Operation for RevokeTokens {
    const NAME: &'static str = "revoke_own_token";
    const TITLE: &'static str = "Revoke my team token";
    const DESCRIPTION: &'static str = "Revokes the team token of the request, on every replica within a second, or all team tokens of the organization. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/orgs/me/tokens/revoke",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let revoked = context
            .product
            .accounts
            .revoke_own_tokens(&context.caller, args.all)
            .await?;
        context.product.guard.forget_callers();
        Ok(Output { success: true, revoked })
    }
}
