//! `PUT /api/v1/client-status`: the status that an agent gives itself.

use butt_dial_accounts::AgentStatus;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct SetClientStatus;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    #[schemars(extend("enum" = ["active", "inactive", "suspended"]))]
    status: String,
    #[serde(default)]
    reason: Option<String>,
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

impl Operation for SetClientStatus {
    const NAME: &'static str = "set_client_status";
    const TITLE: &'static str = "Set my status";
    const DESCRIPTION: &'static str = "Sets your status: active, inactive or suspended. You can't send, schedule or call unless you are active. You can't undo the decision of an administrator. Requires an agent's token.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "PUT",
        path: "/api/v1/client-status",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Self::Output, Failure> {
        let status: AgentStatus = args
            .status
            .parse()
            .map_err(|_| Failure::new(Code::InvalidArgument, "status is one of active, inactive, suspended"))?;
        let change = context
            .product
            .accounts
            .set_own_status(&context.caller, status, args.reason.as_deref())
            .await?;
        context.product.guard.forget_callers();
        Ok(Output {
            success: true,
            agent_id: context.caller.agent()?.agent.id.host_id().to_owned(),
            status: change.status.as_str(),
            cancelled_sends: change.cancelled_sends,
        })
    }
}
