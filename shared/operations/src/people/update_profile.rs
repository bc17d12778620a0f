//! `comms_update_profile`: the agent changes its own name, status and how it speaks.

use butt_dial_accounts::AgentStatus;
use butt_dial_calls::voice_settings::{VoiceSettingsChange, change_voice_settings};
use butt_dial_domain::{Code, Failure, Scope, bounds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Context, Hints, Operation, Route};

pub struct UpdateProfile;

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Args {
    #[serde(default)]
    #[schemars(length(max = bounds::NAME))]
    agent_name: Option<String>,
    /// The first words to callers.
    #[serde(default)]
    #[schemars(length(max = bounds::GREETING))]
    greeting: Option<String>,
    /// Your instructions for calls that have none of their own.
    #[serde(default)]
    #[schemars(length(max = bounds::PROMPT))]
    system_prompt: Option<String>,
    #[serde(default)]
    #[schemars(length(max = bounds::VOICE))]
    voice_id: Option<String>,
    /// Such as en-US.
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    #[schemars(extend("enum" = ["male", "female", "neutral"]))]
    gender: Option<String>,
    #[serde(default)]
    #[schemars(extend("enum" = ["male", "female", "neutral"]))]
    #[schemars(extend("x-brief" = false))]
    voice_gender: Option<String>,
    #[serde(default)]
    #[schemars(extend("enum" = ["active", "inactive"]))]
    status: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Output {
    success: bool,
    agent_id: String,
    agent_name: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    greeting: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gender: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voice_gender: Option<String>,
}

impl Operation for UpdateProfile {
    const NAME: &'static str = "comms_update_profile";
    const TITLE: &'static str = "Change my profile";
    const DESCRIPTION: &'static str = "Changes your name, status, language, voice, greeting or instructions for calls, and returns the profile. What you omit stays; an \
        empty value removes it. [scope: agent]";
    const BRIEF: &'static str = "Changes your profile; an empty value removes.";
    const SCOPE: Scope = Scope::Agent;
    const HINTS: Option<Hints> = Some(Hints {
        read_only: false,
        idempotent: true,
        open_world: false,
    });
    const ROUTE: Option<Route> = None;
    const ERRORS: &'static [&'static [Code]] = &[&[Code::AgentNotFound, Code::ContentBlocked]];
    const ACCEPTS_EXTRA_ARGUMENTS: bool = true;
    const ALIASES: &'static [(&'static str, &'static str)] = &[
        ("displayName", "agentName"),
        ("name", "agentName"),
        ("voice", "voiceId"),
    ];

    type Args = Args;
    type Output = Output;

    async fn run(context: Context, args: Args) -> Result<Output, Failure> {
        let (product, caller) = (&context.product, &context.caller);
        let profile = caller.agent()?;
        let status = args.status.as_deref().map(parse_status).transpose()?;
        let change = VoiceSettingsChange {
            language: args.language,
            voice: args.voice_id,
            greeting: args.greeting,
            system_prompt: args.system_prompt,
            gender: args.gender,
            voice_gender: args.voice_gender,
            ..VoiceSettingsChange::default()
        };
        // The part that can be refused comes first.
        let settings = change_voice_settings(&product.calls, caller, change).await?;
        let agent_name = match &args.agent_name {
            Some(name) => product.people.rename(caller, name).await?,
            None => profile.agent.display_name.clone(),
        };
        let status = match status {
            Some(status) => product.people.set_own_status(caller, status).await?,
            None => profile.agent.status,
        };
        Ok(Output {
            success: true,
            agent_id: profile.agent.id.host_id().to_owned(),
            agent_name,
            status: status.as_str(),
            greeting: settings.greeting,
            system_prompt: settings.system_prompt,
            voice_id: settings.voice,
            language: settings.language,
            gender: settings.gender,
            voice_gender: settings.voice_gender,
        })
    }
}

fn parse_status(text: &str) -> Result<AgentStatus, Failure> {
    match text {
        "active" => Ok(AgentStatus::Active),
        "inactive" => Ok(AgentStatus::Inactive),
        _ => Err(Failure::new(Code::InvalidArgument, "status is one of active, inactive")),
    }
}
