//! `DELETE /api/v1/agents/{agentId}/tokens/{tokenId}`: revokes a token of an agent.

use butt_dial_domain::{Code, Failure, Scope, TokenId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

pub struct RevokeAgentToken;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_id: String,
    token_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    success: bool,
}

impl Operation for RevokeAgentToken {
    const NAME: &'static str = "revoke_agent_token";
    const TITLE: &'static str = "Revoke a token of an agent";
    const DESCRIPTION: &'static str = "Revokes one token of an agent, on every replica within a second. The other tokens of the agent stay valid, and what was \
        scheduled with the token still leaves. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "DELETE",
        path: "/api/v1/agents/{agentId}/tokens/{tokenId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound, Code::NotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let id = TokenId::from(args.token_id);
        let agents = &context.product.agents;
        agents.revoke_token(&context.caller, &args.agent_id, &id).await?;
        context.product.guard.forget_callers();
        Ok(Output { success: true })
    }
}
