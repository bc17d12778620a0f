//! `GET /api/v1/agents/{agentId}/tokens`: the valid tokens of an agent. Secrets are not stored and never returned.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, grants::GrantsView, views::time};

pub struct ListAgentTokens;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    tokens: Vec<Item>,
}

#[derive(Serialize, JsonSchema)]
pub struct Item {
    id: String,
    last_four: String,
    label: Option<String>,
    scope: &'static str,
    created_at: String,
    last_used_at: Option<String>,
    /// A hash of the network that used the token last. Equal hashes of one token are the same network.
    ip_hint: Option<String>,
    expires_at: Option<String>,
    /// Absent: the token is not restricted.
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<GrantsView>,
}

impl Operation for ListAgentTokens {
    const NAME: &'static str = "list_agent_tokens";
    const TITLE: &'static str = "Tokens of an agent";
    const DESCRIPTION: &'static str =
        "Lists the valid tokens of an agent with their grants, without their secrets. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/agents/{agentId}/tokens",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        // Uses of tokens are written periodically; the caller expects its own to be there.
        context.product.guard.flush_last_used().await;
        let tokens = context
            .product
            .agents
            .list_tokens(&context.caller, &args.agent_id)
            .await?;
        let tokens = tokens
            .into_iter()
            .map(|token| Item {
                grants: token
                    .principal
                    .restriction
                    .as_deref()
                    .map(|restriction| GrantsView::from(&restriction.grants)),
                id: token.principal.token.into_string(),
                label: token.label,
                last_four: token.last_four,
                scope: token.principal.scope.as_str(),
                created_at: time(token.created_at),
                last_used_at: token.last_used_at.map(time),
                ip_hint: token.last_used_from,
                expires_at: token.expires_at.map(time),
            })
            .collect();
        Ok(Output { tokens })
    }
}
