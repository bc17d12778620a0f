//! `POST /api/v1/agents/{agentId}/channels`: adds or removes a channel of an agent by its name.

use butt_dial_accounts::AddChannel;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::named_channel::{ChangedChannel, change};
use crate::{Context, Hints, Operation, Route, errors};

pub struct ManageAgentChannels;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_id: String,
    /// add (also allocate) or remove.
    action: String,
    /// phone (also voiceAi), whatsapp, email or line.
    channel: String,
    #[serde(default)]
    options: Option<Options>,
}

/// The channel that is to be added.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Options {
    country: Option<String>,
    area_code: Option<String>,
    email_domain: Option<String>,
    email_local_part: Option<String>,
    identifier: Option<String>,
    label: Option<String>,
}

impl Operation for ManageAgentChannels {
    const NAME: &'static str = "manage_agent_channels";
    const TITLE: &'static str = "Add or remove a channel of an agent";
    const DESCRIPTION: &'static str =
        "Adds a sender on a channel, which may buy a number, or releases the ones on it. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/agents/{agentId}/channels",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound], errors::PROVISIONING];

    type Args = Args;
    type Output = ChangedChannel;

    async fn run(context: Context, args: Args) -> Result<ChangedChannel, Failure> {
        let options = args.options.unwrap_or_default();
        let add = AddChannel {
            identifier: options.identifier.as_deref(),
            mail_local_part: options.email_local_part.as_deref(),
            mail_domain: options.email_domain.as_deref(),
            country: options.country.as_deref(),
            area_code: options.area_code.as_deref(),
            label: options.label.as_deref(),
        };
        change(&context, &args.agent_id, &args.action, &args.channel, &add).await
    }
}
