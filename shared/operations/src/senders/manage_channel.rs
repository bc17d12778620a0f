//! `comms_manage_channel`: adds or removes a channel of the calling agent, or of another agent of its organization.

use butt_dial_accounts::AddChannel;
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::named_channel::{ChangedChannel, change};
use crate::{Context, Hints, Operation, Route, errors};

pub struct ManageChannel;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// add or remove.
    action: String,
    /// phone (texts and calls), whatsapp, email or line.
    channel: String,
    /// The default is you.
    #[serde(default)]
    agent_id: Option<String>,
    /// Two letters, such as US (the default).
    #[serde(default)]
    country: Option<String>,
    #[serde(default)]
    email_domain: Option<String>,
    /// A number to buy or adopt; the default is any.
    #[serde(default)]
    identifier: Option<String>,
}

impl Operation for ManageChannel {
    const NAME: &'static str = "comms_manage_channel";
    const TITLE: &'static str = "Add or remove a channel";
    const DESCRIPTION: &'static str = "Adds a sender on a channel, which may buy a number, or releases the ones on it. Returns the records. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound], errors::PROVISIONING];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = ChangedChannel;

    async fn run(context: Context, args: Args) -> Result<ChangedChannel, Failure> {
        let agent = match args.agent_id {
            Some(agent) => agent,
            None => context.caller.agent()?.agent.id.host_id().to_owned(),
        };
        let add = AddChannel {
            identifier: args.identifier.as_deref(),
            mail_domain: args.email_domain.as_deref(),
            country: args.country.as_deref(),
            ..AddChannel::default()
        };
        change(&context, &agent, &args.action, &args.channel, &add).await
    }
}
