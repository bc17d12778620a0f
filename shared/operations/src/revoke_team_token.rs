//! `DELETE /api/v1/tokens/{tokenId}`: revokes a team token.

use butt_dial_domain::{Code, Failure, Scope, TokenId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

pub struct RevokeTeamToken;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    token_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    success: bool,
}

impl Operation for RevokeTeamToken {
    const NAME: &'static str = "revoke_team_token";
    const TITLE: &'static str = "Revoke a team token";
    const DESCRIPTION: &'static str =
        "Revokes one team token, on every replica within a second. Requires a team token, which may be the same one.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/v1/tokens/{tokenId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let id = TokenId::from(args.token_id);
        context.product.team_tokens.revoke(&context.caller, &id).await?;
        context.product.guard.forget_callers();
        Ok(Output { success: true })
    }
}
