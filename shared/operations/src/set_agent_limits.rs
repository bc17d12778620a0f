//! `comms_set_agent_limits`: sets the limits of an agent or of the organization.

use butt_dial_billing::LimitsChange;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::LimitsView};

pub struct SetAgentLimits;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// The agent. Without it, the limits apply to all agents of the organization together.
    #[serde(default)]
    agent_id: Option<String>,
    /// The limits to change. A limit that is absent stays; null removes it.
    limits: LimitsChange,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<String>,
    /// The limits now in force.
    limits: LimitsView,
}

impl Operation for SetAgentLimits {
    const NAME: &'static str = "comms_set_agent_limits";
    const TITLE: &'static str = "Set limits";
    const DESCRIPTION: &'static str = "Sets how many actions an agent may take and how much it may spend. Without agentId the limits apply to the whole \
        organization. An agent of scope org-admin can set the limits of other agents only. They are in force on every replica within a second. Returns the limits now in force. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/client-limits",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let agent = args.agent_id.as_deref();
        let (billing, caller) = (&context.product.billing, &context.caller);
        let (org, actor) = (caller.org()?, &caller.principal.token);
        if let Some(own) = &caller.principal.agent
            && agent.is_none_or(|agent| agent == own.host_id())
        {
            return Err(Failure::new(
                Code::AuthForbidden,
                "an agent can't change its own limits or those of its organization",
            )
            .hint("use a team token"));
        }
        let limits = billing.set_limits(org, actor, agent, &args.limits).await?;
        context.product.guard.forget_callers();
        Ok(Output {
            success: true,
            agent_id: args.agent_id,
            limits: limits.into(),
        })
    }
}
