//! `GET /api/v1/tokens`: the team tokens of the organization. Secrets are not stored and never returned.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::time};

pub struct ListTeamTokens;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    tokens: Vec<Item>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    id: String,
    last_four: String,
    label: Option<String>,
    scope: &'static str,
    /// The id of the token that created this one.
    created_by: Option<String>,
    created_at: String,
    last_used_at: Option<String>,
    /// A hash of the network that used the token last. Equal hashes of one token are the same network.
    ip_hint: Option<String>,
    expires_at: Option<String>,
    /// This is the token of the request.
    is_own: bool,
}

impl Operation for ListTeamTokens {
    const NAME: &'static str = "list_team_tokens";
    const TITLE: &'static str = "List team tokens";
    const DESCRIPTION: &'static str =
        "Lists the team tokens of the organization that are not revoked, without their secrets, newest first.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/tokens",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, _: Args) -> Result<Output, Failure> {
        let own = &context.caller.principal.token;
        // Uses of tokens are written periodically; the caller expects its own to be there.
        context.product.guard.flush_last_used().await;
        let tokens = context.product.team_tokens.list(&context.caller).await?;
        let tokens = tokens
            .into_iter()
            .map(|token| Item {
                is_own: token.principal.token == *own,
                id: token.principal.token.into_string(),
                last_four: token.last_four,
                label: token.label,
                scope: token.principal.scope.as_str(),
                created_by: token.created_by.map(|id| id.into_string()),
                created_at: time(token.created_at),
                last_used_at: token.last_used_at.map(time),
                ip_hint: token.last_used_from,
                expires_at: token.expires_at.map(time),
            })
            .collect();
        Ok(Output { tokens })
    }
}
