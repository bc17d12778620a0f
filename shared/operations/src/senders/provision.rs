//! `POST /api/v1/provision`: registers and provisions an agent. Deprecated in favour of `POST /api/v1/agents` and the routes of its
//! channels.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    DEPRECATED,
    provisioning::{Capabilities, ProvisionRequest, Provisioned, identity_mode, provision},
};
use crate::{Context, Deprecation, Hints, Operation, Route, errors};

pub struct Provision;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_id: String,
    agent_name: String,
    #[serde(default)]
    callback_url: Option<String>,
    #[serde(default)]
    capabilities: Option<Capabilities>,
    /// Two letters, such as US (the default).
    #[serde(default)]
    country: Option<String>,
    /// dedicated, shared or hybrid; the default is the organization's.
    #[serde(default)]
    identity_mode: Option<String>,
    #[serde(default)]
    preferred_phone_number: Option<String>,
    #[serde(default)]
    preferred_whatsapp_number: Option<String>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    #[schemars(extend("enum" = ["male", "female", "neutral"]))]
    gender: Option<String>,
    #[serde(default)]
    voice_id: Option<String>,
    #[serde(default)]
    greeting: Option<String>,
    /// Instructions for calls that no agent attends.
    #[serde(default)]
    system_prompt: Option<String>,
    #[serde(default)]
    email_domain: Option<String>,
}

impl Operation for Provision {
    const NAME: &'static str = "provision";
    const TITLE: &'static str = "Provision an agent";
    const DESCRIPTION: &'static str = "Registers an agent if needed, gives it senders, and replaces its tokens. If one channel fails, nothing is kept. \
        Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/provision",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound, Code::ContentBlocked], errors::PROVISIONING];
    const DEPRECATED: Option<Deprecation> = Some(DEPRECATED);
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Provisioned;

    async fn run(context: Context, args: Args) -> Result<Provisioned, Failure> {
        let request = ProvisionRequest {
            agent_id: Some(args.agent_id),
            agent_name: args.agent_name,
            callback_url: args.callback_url,
            capabilities: args.capabilities.unwrap_or_default(),
            country: args.country,
            identity: identity_mode(args.identity_mode.as_deref())?,
            preferred_phone_number: args.preferred_phone_number.or(args.preferred_whatsapp_number),
            language: args.language,
            voice: args.voice_id,
            gender: args.gender,
            greeting: args.greeting,
            system_prompt: args.system_prompt,
            mail_domain: args.email_domain,
        };
        provision(&context, request).await
    }
}
