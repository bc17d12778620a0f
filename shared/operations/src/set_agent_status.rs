//! `comms_set_agent_status`: suspends an agent or activates it again.

use butt_dial_accounts::AgentStatus;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

pub struct SetAgentStatus;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_id: String,
    #[schemars(extend("enum" = ["active", "inactive", "suspended"]))]
    status: String,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    agent_id: String,
    status: &'static str,
    /// Scheduled messages that the change has cancelled.
    cancelled_sends: u64,
}

impl Operation for SetAgentStatus {
    const NAME: &'static str = "comms_set_agent_status";
    const TITLE: &'static str = "Suspend or activate an agent";
    const DESCRIPTION: &'static str = "Sets whether an agent of the organization may act: active, inactive or suspended. An agent that is not active can't send, \
        schedule or call, on every replica within a second, and its scheduled messages are cancelled. It can still read its messages. \
        [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: "/api/v1/agents/{agentId}/status",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let status: AgentStatus = args
            .status
            .parse()
            .map_err(|_| Failure::new(Code::InvalidArgument, "status is one of active, inactive, suspended"))?;
        let change = context
            .product
            .agents
            .set_status(&context.caller, &args.agent_id, status)
            .await?;
        context.product.guard.forget_callers();
        Ok(Output {
            success: true,
            agent_id: args.agent_id,
            status: change.status.as_str(),
            cancelled_sends: change.cancelled_sends,
        })
    }
}
