//! `POST /api/v1/tokens/{tokenId}/rotate`: replaces a team token, with a time in which both work.

use butt_dial_domain::{Code, Failure, Scope, TokenId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::time};

pub struct RotateTeamToken;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    token_id: String,
    /// Seconds for which the old token still works: 0 (the default) to 604,800.
    #[serde(default)]
    overlap_seconds: u32,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    id: String,
    /// The secret. It is returned only once.
    token: String,
    /// When the old token stops working.
    old_token_ends_at: String,
}

impl Operation for RotateTeamToken {
    const NAME: &'static str = "rotate_team_token";
    const TITLE: &'static str = "Rotate a team token";
    const DESCRIPTION: &'static str = "Creates a team token with the label and expiry of another one, which stops working after overlapSeconds. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/tokens/{tokenId}/rotate",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let tokens = &context.product.team_tokens;
        let id = TokenId::from(args.token_id);
        let (minted, ends_at) = tokens.rotate(&context.caller, &id, args.overlap_seconds).await?;
        context.product.guard.forget_callers();
        Ok(Output {
            id: minted.id.into_string(),
            token: minted.secret,
            old_token_ends_at: time(ends_at),
        })
    }
}
