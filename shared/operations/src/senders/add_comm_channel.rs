//! `POST /api/v1/agents/{agentId}/comm-channels`: adds a sender to an agent.

use butt_dial_accounts::{AddChannel, ChannelKind};
use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::{RecordView, record_with_dns};
use crate::{Context, Hints, Operation, Route, errors};

pub struct AddCommChannel;

/// In snake case, as the Python client sends it.
#[derive(Deserialize, JsonSchema)]
pub struct Args {
    #[serde(rename = "agentId")]
    agent_id: String,
    /// phone (texts and calls), whatsapp, email or line.
    channel_type: String,
    /// phone: a number to buy, or one that your own provider account has. email: the address. line: the id of the channel. The
    /// default is any.
    #[serde(default)]
    identifier: Option<String>,
    /// The part of the mail address before the @; the default is the agent's name.
    #[serde(default)]
    email_local_part: Option<String>,
    #[serde(default)]
    label: Option<String>,
    /// Two letters, such as US (the default).
    #[serde(default)]
    country: Option<String>,
    #[serde(default)]
    area_code: Option<String>,
    /// Accepted and ignored: a sender has what its provider offers.
    #[serde(default)]
    #[expect(dead_code, reason = "clients send it")]
    capabilities: Option<Vec<String>>,
}

#[derive(Serialize, JsonSchema)]
pub struct Output {
    #[serde(flatten)]
    fields: RecordView,
    /// The same fields, for clients that read them here.
    record: RecordView,
}

impl Operation for AddCommChannel {
    const NAME: &'static str = "add_comm_channel";
    const TITLE: &'static str = "Add a sender to an agent";
    const DESCRIPTION: &'static str = "Buys, adopts or registers a sender for an agent. If the provider refuses, nothing is kept. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/agents/{agentId}/comm-channels",
        status: 201,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound], errors::PROVISIONING];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let kind = ChannelKind::parse(&args.channel_type)?;
        let profile = context.product.agents.get(&context.caller, &args.agent_id).await?;
        let add = AddChannel {
            identifier: args.identifier.as_deref(),
            mail_local_part: args.email_local_part.as_deref(),
            mail_domain: None,
            country: args.country.as_deref(),
            area_code: args.area_code.as_deref(),
            label: args.label.as_deref(),
        };
        let senders = &context.product.senders;
        let sender = senders.add_channel(&context.caller, &profile, kind, &add).await?;
        let record = record_with_dns(senders, sender).await;
        Ok(Output {
            fields: record.clone(),
            record,
        })
    }
}
