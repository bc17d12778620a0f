//! `comms_onboard_customer`: registers and provisions an agent, with what its host needs to connect it.

use butt_dial_domain::{Channel, Code, Failure, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    provisioning::{Capabilities, ProvisionRequest, Provisioned, provision},
    views::DnsRecordView,
};
use crate::{Context, Hints, Operation, Route, errors};

pub struct OnboardCustomer;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_name: String,
    /// phone, whatsapp, voiceAi, email: true for what the agent is to have.
    capabilities: Capabilities,
    #[serde(default)]
    agent_id: Option<String>,
    #[serde(default)]
    callback_url: Option<String>,
    #[serde(default)]
    email_domain: Option<String>,
}

/// How the agent connects.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionView {
    /// The URL of the event stream of MCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    sse_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mcp_url: Option<String>,
    instructions: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    #[serde(flatten)]
    provisioned: Provisioned,
    connection: ConnectionView,
    /// Records that the mail domain needs. Empty: its domain is set up already.
    dns_records: Vec<DnsRecordView>,
    /// Webhooks that have to be set by hand. Empty: they are set at the provider.
    webhook_urls: Vec<String>,
}

impl Operation for OnboardCustomer {
    const NAME: &'static str = "comms_onboard_customer";
    const TITLE: &'static str = "Onboard a customer";
    const DESCRIPTION: &'static str = "Registers an agent, gives it senders, and returns its token, its addresses and how it connects. [scope: org-admin]";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: false,
        open_world: true,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound, Code::ContentBlocked], errors::PROVISIONING];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let request = ProvisionRequest {
            agent_id: args.agent_id,
            agent_name: args.agent_name,
            callback_url: args.callback_url,
            capabilities: args.capabilities,
            mail_domain: args.email_domain,
            ..ProvisionRequest::default()
        };
        let provisioned = provision(&context, request).await?;
        let profile = context
            .product
            .agents
            .get(&context.caller, &provisioned.agent_id)
            .await?;
        let senders = &context.product.senders;
        let owned = senders.list(&profile.agent.org_id, &profile.agent.id).await?;
        let mut dns_records = Vec::new();
        if let Some(mail) = owned.iter().find(|sender| sender.channel == Channel::Email) {
            dns_records = senders.dns_records(mail).await?;
        }
        let base = context.product.senders.public_base().map(str::to_owned);
        let url = |path: &str| base.as_ref().map(|base| format!("{base}{path}"));
        Ok(Output {
            provisioned,
            connection: ConnectionView {
                sse_url: url("/sse"),
                mcp_url: url("/mcp"),
                instructions: "Connect an MCP client to sseUrl or mcpUrl with the header Authorization: Bearer <token>. \
                    Call comms_get_me first.",
            },
            dns_records: dns_records.into_iter().map(DnsRecordView::from).collect(),
            webhook_urls: Vec::new(),
        })
    }
}
