//! `POST /api/v1/onboard`: registers and provisions an agent with a generated id. Deprecated like `POST /api/v1/provision`.

use butt_dial_domain::{Code, Failure, Scope};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    DEPRECATED,
    provisioning::{Capabilities, ProvisionRequest, Provisioned, provision},
};
use crate::{Context, Deprecation, Hints, Operation, Route, errors};

pub struct Onboard;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    agent_name: String,
    /// Two letters, such as US (the default).
    #[serde(default)]
    country: Option<String>,
    /// The default is a generated id.
    #[serde(default)]
    agent_id: Option<String>,
    /// The default is texts and calls.
    #[serde(default)]
    capabilities: Option<Capabilities>,
    #[serde(default)]
    email_domain: Option<String>,
    #[serde(default)]
    greeting: Option<String>,
    /// Instructions for calls that no agent attends.
    #[serde(default)]
    system_prompt: Option<String>,
}

impl Operation for Onboard {
    const NAME: &'static str = "onboard";
    const TITLE: &'static str = "Register and provision an agent";
    const DESCRIPTION: &'static str =
        "Registers an agent, gives it senders, and returns its token. Requires a team token.";
    const SCOPE: Scope = Scope::OrgAdmin;
    const HINTS: Option<Hints> = None;
    const ROUTE: Option<Route> = Some(Route {
        method: "POST",
        path: "/api/v1/onboard",
        status: 200,
    });
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound, Code::ContentBlocked], errors::PROVISIONING];
    const DEPRECATED: Option<Deprecation> = Some(DEPRECATED);
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;

    type Args = Args;
    type Output = Provisioned;

    async fn run(context: Context, args: Args) -> Result<Provisioned, Failure> {
        let everything = Capabilities {
            phone: true,
            voice_ai: true,
            ..Capabilities::default()
        };
        let request = ProvisionRequest {
            agent_id: args.agent_id,
            agent_name: args.agent_name,
            capabilities: args.capabilities.unwrap_or(everything),
            country: args.country,
            greeting: args.greeting,
            system_prompt: args.system_prompt,
            mail_domain: args.email_domain,
            ..ProvisionRequest::default()
        };
        provision(&context, request).await
    }
}
