//! `comms_set_client_limits`: the limits of an agent or of the organization, with a preview.

use butt_dial_billing::LimitsChange;
use butt_dial_domain::{AgentId, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route, views::LimitsView};

pub struct SetClientLimits;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The limits to change. A limit that is absent stays; null removes it.
    limits: LimitsChange,
    /// The agent. Without it, the limits apply to all agents of the organization together.
    #[serde(default)]
    agent_id: Option<String>,
    /// true: set the limits. Otherwise nothing changes.
    #[serde(default)]
    confirm: bool,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_set_limits: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// The limits that are in force, or that would be.
    limits: LimitsView,
}

impl Operation for SetClientLimits {
    const NAME: &'static str = "comms_set_client_limits";
    const TITLE: &'static str = "Set limits with a preview";
    const DESCRIPTION: &'static str = "Sets limits of actions and spend like comms_set_agent_limits. Without confirm it returns the limits that would be in force. \
        [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (billing, caller) = (&context.product.billing, &context.caller);
        let (org, agent) = (caller.org()?, args.agent_id.as_deref());
        if !args.confirm {
            let limits = billing.preview_limits(org, agent, &args.limits).await?;
            return Ok(Output {
                preview: Some(true),
                would_set_limits: Some(true),
                message: Some("These limits would be in force. Pass confirm: true to set them."),
                success: None,
                agent_id: args.agent_id,
                limits: limits.into(),
            });
        }
        if caller.principal.agent.is_some() && agent == caller.principal.agent.as_ref().map(AgentId::host_id) {
            return Err(
                Failure::new(Code::AuthForbidden, "an agent can't change its own limits")
                    .hint("leave agentId out for the limits of the organization, or use a team token"),
            );
        }
        let limits = billing
            .set_limits(org, &caller.principal.token, agent, &args.limits)
            .await?;
        context.product.guard.forget_callers();
        Ok(Output {
            preview: None,
            would_set_limits: None,
            message: None,
            success: Some(true),
            agent_id: args.agent_id,
            limits: limits.into(),
        })
    }
}
