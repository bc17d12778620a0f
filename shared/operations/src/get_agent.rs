//! `GET /api/v1/agents/{agentId}`: one agent of the organization. Agents of other organizations are not found.

use std::collections::BTreeMap;

use butt_dial_domain::{Channel, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Hints, Operation, Route, views::time};

pub struct GetAgent;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_id: String,
}

/// In both casings, as the Python client documents it.
#[derive(Serialize, JsonSchema)]
pub struct Output {
    agent_id: String,
    #[serde(rename = "agentId")]
    agent_id_camel: String,
    display_name: String,
    #[serde(rename = "displayName")]
    display_name_camel: String,
    status: &'static str,
    /// Addresses by channel.
    channels: BTreeMap<&'static str, String>,
    callback_url: Option<String>,
    #[serde(rename = "callbackUrl")]
    callback_url_camel: Option<String>,
    /// When it got its first sender; null before.
    provisioned_at: Option<String>,
    #[serde(rename = "provisionedAt")]
    provisioned_at_camel: Option<String>,
    created_at: String,
    #[serde(rename = "createdAt")]
    created_at_camel: String,
}

impl Operation for GetAgent {
    const NAME: &'static str = "get_agent";
    const TITLE: &'static str = "One agent";
    const DESCRIPTION: &'static str =
        "Returns one agent of the organization with its addresses. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "GET",
        path: "/api/v1/agents/{agentId}",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let profile = context.product.agents.get(&context.caller, &args.agent_id).await?;
        let id = profile.agent.id.host_id().to_owned();
        let created = time(profile.agent.created_at);
        let provisioned = profile.provisioned_at.map(time);
        let callback = context.product.delivery.find_callback_url(&profile.agent.id).await?;
        Ok(Output {
            agent_id: id.clone(),
            agent_id_camel: id,
            display_name: profile.agent.display_name.clone(),
            display_name_camel: profile.agent.display_name,
            status: profile.agent.status.as_str(),
            channels: profile
                .channels
                .into_iter()
                .map(|c| (channel_name(c.channel), c.address))
                .collect(),
            callback_url: callback.clone(),
            callback_url_camel: callback,
            provisioned_at: provisioned.clone(),
            provisioned_at_camel: provisioned,
            created_at: created.clone(),
            created_at_camel: created,
        })
    }
}

/// The name of a channel as in `comms_get_me`.
fn channel_name(channel: Channel) -> &'static str {
    match channel {
        Channel::Sms => "phone",
        other => other.as_str(),
    }
}
