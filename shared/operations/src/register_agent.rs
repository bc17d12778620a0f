//! `POST /api/v1/agents`: registers an agent and creates its token.

use butt_dial_accounts::NewAgent;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route};

pub struct RegisterAgent;

#[derive(Deserialize, JsonSchema)]
pub struct Args {
    /// The host's id for the agent, such as a UUID. The default is a generated id.
    #[serde(default)]
    agent_id: Option<String>,
    display_name: String,
    /// agent (the default), org-admin: an agent with the tools of an administrator, or super-admin: with the tools of the
    /// installation's operator, for the orchestrator's token.
    #[serde(default)]
    scope: Option<String>,
}

/// Fields in both casings, and the token under each name that clients read.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    agent_id: String,
    #[serde(rename = "agentId")]
    agent_id_camel: String,
    display_name: String,
    #[serde(rename = "displayName")]
    display_name_camel: String,
    /// The secret. It is returned only once.
    token: String,
    agent_token: String,
    #[serde(rename = "agentToken")]
    agent_token_camel: String,
    status: &'static str,
    #[serde(rename = "lifecycleState")]
    lifecycle_state: &'static str,
}

impl Operation for RegisterAgent {
    const NAME: &'static str = "register_agent";
    const TITLE: &'static str = "Register an agent";
    const DESCRIPTION: &'static str = "Registers an agent and creates its token. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/agents",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AlreadyExists]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let caller = &context.caller;
        let scope = match args.scope.as_deref() {
            None => Scope::Agent,
            Some(text) => Scope::parse(text)
                .filter(|scope| *scope != Scope::Anyone && caller.principal.scope.allows(*scope))
                .ok_or_else(|| Failure::new(Code::InvalidArgument, "scope must be one of agent, org-admin"))?,
        };
        let new = NewAgent {
            id: args.agent_id.as_deref(),
            display_name: &args.display_name,
            scope,
        };
        let (agent, token) = match scope {
            Scope::SuperAdmin => {
                // The orchestrator has no organization: its agents belong to the installation.
                let org = context.product.accounts.installation_org(&context.caller).await?;
                context.product.agents.register_in(&context.caller, &org, new).await?
            }
            _ => context.product.agents.register(&context.caller, new).await?,
        };
        let id = agent.id.host_id().to_owned();
        Ok(Output {
            agent_id: id.clone(),
            agent_id_camel: id,
            display_name: agent.display_name.clone(),
            display_name_camel: agent.display_name,
            token: token.secret.clone(),
            agent_token: token.secret.clone(),
            agent_token_camel: token.secret,
            status: agent.status.as_str(),
            lifecycle_state: "registered",
        })
    }
}
