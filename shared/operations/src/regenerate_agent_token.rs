//! `POST /api/v1/agents/{agentId}/regenerate-token`: replaces all tokens of an agent with a new one.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::time};

pub struct RegenerateAgentToken;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_id: String,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    /// The secret. It is returned only once.
    token: String,
    agent_token: String,
    #[serde(rename = "agentToken")]
    agent_token_camel: String,
    /// Messages that the agent has scheduled and that will still be sent, at most 100. Suspend the agent to cancel them.
    #[serde(rename = "scheduledMessages")]
    scheduled_messages: Vec<ScheduledItem>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledItem {
    message_id: String,
    channel: String,
    scheduled_at: String,
}

impl Operation for RegenerateAgentToken {
    const NAME: &'static str = "regenerate_agent_token";
    const TITLE: &'static str = "Replace an agent's tokens";
    const DESCRIPTION: &'static str = "Creates a new token for an agent and revokes all its other tokens, on every replica within a second. Returns the new token and what the agent has \
        scheduled, which will still be sent. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/agents/{agentId}/regenerate-token",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (minted, scheduled) = context
            .product
            .agents
            .regenerate_token(&context.caller, &args.agent_id)
            .await?;
        context.product.guard.forget_callers();
        Ok(Output {
            token: minted.secret.clone(),
            agent_token: minted.secret.clone(),
            agent_token_camel: minted.secret,
            scheduled_messages: scheduled
                .into_iter()
                .map(|send| ScheduledItem {
                    message_id: send.id().into_string(),
                    scheduled_at: time(send.due_at),
                    channel: send.channel,
                })
                .collect(),
        })
    }
}
