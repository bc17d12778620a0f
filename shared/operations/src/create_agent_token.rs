//! `POST /api/v1/agents/{agentId}/tokens`: creates a further token of an agent, which may be restricted.

use butt_dial_accounts::NewAgentToken;
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Context, Hints, Operation, Route,
    grants::{GrantsArgs, GrantsView},
    views::time,
};

pub struct CreateAgentToken;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_id: String,
    /// The purpose of the token: one line of 1 to 100 characters.
    #[serde(default)]
    #[schemars(length(max = bounds::TOKEN_LABEL))]
    label: Option<String>,
    /// Days until the token expires, 1 to 3,650. Without it, the token does not expire.
    #[serde(default)]
    #[schemars(range(min = 1, max = bounds::TOKEN_DAYS))]
    expires_in_days: Option<u32>,
    /// Restricts the token. Without it, the token may do all that the agent may.
    #[serde(default)]
    grants: Option<GrantsArgs>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    id: String,
    /// The secret. It is returned only once.
    token: String,
    label: Option<String>,
    expires_at: Option<String>,
    /// Absent: the token is not restricted.
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<GrantsView>,
}

impl Operation for CreateAgentToken {
    const NAME: &'static str = "create_agent_token";
    const TITLE: &'static str = "Create a token of an agent";
    const DESCRIPTION: &'static str = "Creates a further token of an agent, with an optional label, expiry and grants: channels, tools, recipients and spend. The \
        other tokens of the agent stay valid. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/agents/{agentId}/tokens",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let known = &context.product.agent_operations;
        let grants = args.grants.map(|grants| grants.parse(known)).transpose()?.flatten();
        let shown = grants.as_ref().map(GrantsView::from);
        let new = NewAgentToken {
            label: args.label.as_deref(),
            expires_in_days: args.expires_in_days,
            grants,
        };
        let agents = &context.product.agents;
        let created = agents.create_token(&context.caller, &args.agent_id, new).await?;
        Ok(Output {
            id: created.minted.id.into_string(),
            token: created.minted.secret,
            label: created.label,
            expires_at: created.expires_at.map(time),
            grants: shown,
        })
    }
}
