//! `comms_deprovision_channels`: releases all senders of an agent, after a preview.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::{RecordView, records};
use crate::{Context, Hints, Operation, Route};

pub struct DeprovisionChannels;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    /// false (the default) shows what would be released.
    #[serde(default)]
    confirm: Option<bool>,
    /// The default is you.
    #[serde(default)]
    agent_id: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    agent_id: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    preview: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    would_release: bool,
    /// The senders that would be released.
    #[serde(skip_serializing_if = "Option::is_none")]
    senders: Option<Vec<RecordView>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    released: Option<Vec<RecordView>>,
    message: &'static str,
}

impl Operation for DeprovisionChannels {
    const NAME: &'static str = "comms_deprovision_channels";
    const TITLE: &'static str = "Release all channels";
    const DESCRIPTION: &'static str =
        "Releases every sender of an agent. Without confirm: true it only shows them. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: true,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let host_id = match args.agent_id {
            Some(agent) => agent,
            None => context.caller.agent()?.agent.id.host_id().to_owned(),
        };
        let agent = context.product.agents.get(&context.caller, &host_id).await?.agent;
        let senders = &context.product.senders;
        if args.confirm != Some(true) {
            let owned = senders.list(&agent.org_id, &agent.id).await?;
            return Ok(Output {
                agent_id: agent.id.host_id().to_owned(),
                preview: true,
                would_release: true,
                senders: Some(records(owned)),
                released: None,
                message: "Nothing was released. Repeat with confirm: true to release these senders.",
            });
        }
        let released = senders.release_agent(&context.caller, &agent.id, false).await?;
        Ok(Output {
            agent_id: agent.id.host_id().to_owned(),
            preview: false,
            would_release: false,
            senders: None,
            released: Some(records(released)),
            message: "The senders are out of use. Bought numbers return to their provider after the hold.",
        })
    }
}
