//! `comms_get_me`: the agent's identity and addresses.

use butt_dial_accounts::AgentProfile;
use butt_dial_domain::{Channel, Code, Failure, Scope};
use butt_dial_identity::Caller;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::time};

pub struct GetMe;

#[derive(Deserialize, JsonSchema)]
pub struct Args {}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    agent_id: String,
    display_name: String,
    org_id: String,
    status: &'static str,
    /// `registered` until it has a sender, then `provisioned`.
    lifecycle_state: &'static str,
    scope: &'static str,
    channels: Channels,
    /// The URL that receives your events while no client listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<String>,
    created_at: String,
    /// When you got your first sender; null before.
    provisioned_at: Option<String>,
}

#[derive(Serialize, JsonSchema)]
pub struct Channels {
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    /// The number for incoming and outgoing calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    whatsapp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
}

impl Operation for GetMe {
    const NAME: &'static str = "comms_get_me";
    const TITLE: &'static str = "Who am I";
    const DESCRIPTION: &'static str =
        "Returns your agent id, name, status and the addresses that you send from. Call it first. [scope: agent]";
    const BRIEF: &'static str = "Returns your id, name, status and addresses. Call it first.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: true,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/agents/me",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, _: Args) -> Result<Output, Failure> {
        let agent = &context.caller.agent()?.agent.id;
        // Not the cached profile: the agent may just have changed it.
        let profile = context.product.agents.get(&context.caller, agent.host_id()).await?;
        let callback_url = context.product.delivery.find_callback_url(agent).await?;
        Ok(view(&context.caller, &profile, callback_url))
    }
}

fn view(caller: &Caller, profile: &AgentProfile, callback_url: Option<String>) -> Output {
    let address = |channel| profile.channel(channel).map(|owned| owned.address.clone());
    Output {
        agent_id: profile.agent.id.host_id().to_owned(),
        display_name: profile.agent.display_name.clone(),
        org_id: profile.agent.org_id.to_string(),
        status: profile.agent.status.as_str(),
        lifecycle_state: if profile.channels.is_empty() {
            "registered"
        } else {
            "provisioned"
        },
        scope: caller.principal.scope.as_str(),
        channels: Channels {
            phone: address(Channel::Sms),
            voice: address(Channel::Voice),
            whatsapp: address(Channel::Whatsapp),
            email: address(Channel::Email),
        },
        callback_url,
        created_at: time(profile.agent.created_at),
        provisioned_at: profile.provisioned_at.map(time),
    }
}
