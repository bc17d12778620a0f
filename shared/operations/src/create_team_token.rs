//! `POST /api/v1/tokens`: creates a team token.

use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::time};

pub struct CreateTeamToken;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The purpose of the token: one line of 1 to 100 characters.
    #[serde(default)]
    #[schemars(length(max = bounds::TOKEN_LABEL))]
    label: Option<String>,
    /// Days until the token expires, 1 to 3,650. Without it, the token does not expire.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::TOKEN_DAYS))]
    expires_in_days: Option<u32>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    id: String,
    /// The secret. It is returned only once.
    token: String,
    expires_at: Option<String>,
}

impl Operation for CreateTeamToken {
    const NAME: &'static str = "create_team_token";
    const TITLE: &'static str = "Create a team token";
    const DESCRIPTION: &'static str = "Creates a team token with an optional label and expiry. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/tokens",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let tokens = &context.product.team_tokens;
        let (minted, expires_at) = tokens
            .create(&context.caller, args.label.as_deref(), args.expires_in_days)
            .await?;
        Ok(Output {
            id: minted.id.into_string(),
            token: minted.secret,
            expires_at: expires_at.map(time),
        })
    }
}
