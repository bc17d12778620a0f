//! Registers and provisions an agent in one request, for the routes and the tool that do so. A failed request gives back its
//! senders.

use butt_dial_accounts::{AddChannel, ChannelKind, NewAgent, Sender};
use butt_dial_calls::voice_settings::{VoiceSettingsChange, change_voice_settings};
use butt_dial_domain::{Channel, Code, Failure, Scope, senders::IdentityMode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Context;

/// The channels that the agent is to have.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// Texts.
    pub phone: bool,
    pub whatsapp: bool,
    /// Calls, with the number of the texts.
    pub voice_ai: bool,
    pub email: bool,
}

/// A request to provision an agent.
#[derive(Default)]
pub struct ProvisionRequest {
    pub agent_id: Option<String>,
    pub agent_name: String,
    pub callback_url: Option<String>,
    pub capabilities: Capabilities,
    pub country: Option<String>,
    pub identity: Option<IdentityMode>,
    pub preferred_phone_number: Option<String>,
    pub language: Option<String>,
    pub voice: Option<String>,
    pub greeting: Option<String>,
    pub system_prompt: Option<String>,
    pub gender: Option<String>,
    pub mail_domain: Option<String>,
}

/// The addresses of a provisioned agent; null where it has none.
#[derive(Serialize, JsonSchema)]
pub struct ProvisionedChannels {
    phone: Option<String>,
    whatsapp: Option<String>,
    email: Option<String>,
    voice: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Provisioned {
    success: bool,
    pub agent_id: String,
    agent_name: String,
    /// The agent's new token. It replaces all earlier ones and is returned only once.
    token: String,
    channels: ProvisionedChannels,
}

/// Parses an identity mode. `None`: as the organization's mode says.
pub fn identity_mode(text: Option<&str>) -> Result<Option<IdentityMode>, Failure> {
    let Some(text) = text else { return Ok(None) };
    let mode = text.trim().to_ascii_lowercase().parse().map_err(|_| {
        Failure::new(
            Code::InvalidArgument,
            "identityMode is one of dedicated, shared, hybrid",
        )
        .detail("fields", json!(["identityMode"]))
    })?;
    Ok(Some(mode))
}

pub async fn provision(context: &Context, request: ProvisionRequest) -> Result<Provisioned, Failure> {
    context.caller.require(Scope::OrgAdmin)?;
    let (product, caller) = (&context.product, &context.caller);
    let known = match &request.agent_id {
        Some(id) => match product.agents.get(caller, id).await {
            Ok(profile) => Some(profile),
            Err(failure) if failure.code == Code::AgentNotFound => None,
            Err(failure) => return Err(failure),
        },
        None => None,
    };
    let (profile, new_token) = match known {
        Some(profile) => (profile, None),
        None => {
            let new = NewAgent {
                id: request.agent_id.as_deref(),
                display_name: &request.agent_name,
                scope: Scope::Agent,
            };
            let (agent, token) = product.agents.register(caller, new).await?;
            let profile = product.agents.get(caller, agent.id.host_id()).await?;
            (profile, Some(token.secret))
        }
    };
    let (org, agent) = (&profile.agent.org_id, &profile.agent.id);
    if let Some(mode) = request.identity {
        product.senders.set_agent_identity(caller, agent, mode).await?;
    }
    let mode = product.senders.identity_of(org, Some(agent)).await?;
    // Refusals that need no vendor come before a purchase.
    if let Some(url) = &request.callback_url {
        product.delivery.set_callback_url(agent, Some(url.trim())).await?;
    }
    set_voice(context, agent.host_id(), &request).await?;
    provide_channels(context, &request, agent.host_id(), mode).await?;
    let token = match new_token {
        Some(token) => token,
        None => product.agents.regenerate_token(caller, agent.host_id()).await?.0.secret,
    };
    let profile = product.agents.get(caller, agent.host_id()).await?;
    let pool = match mode {
        IdentityMode::Dedicated => Vec::new(),
        IdentityMode::Shared | IdentityMode::Hybrid => product.senders.list_pool(org).await?,
    };
    let address = |channel: Channel| {
        let own = profile.channel(channel).map(|owned| owned.address.clone());
        own.or_else(|| Some(pool.iter().find(|sender| sender.channel == channel)?.address.clone()))
    };
    let wants = request.capabilities;
    Ok(Provisioned {
        success: true,
        agent_id: profile.agent.id.host_id().to_owned(),
        agent_name: profile.agent.display_name.clone(),
        token,
        channels: ProvisionedChannels {
            phone: address(Channel::Sms),
            whatsapp: address(Channel::Whatsapp),
            email: address(Channel::Email),
            voice: address(Channel::Voice).filter(|_| wants.voice_ai || wants.phone),
        },
    })
}

/// Provides the channels one after the other. If one fails, gives those back that this request has obtained.
async fn provide_channels(
    context: &Context,
    request: &ProvisionRequest,
    agent: &str,
    mode: IdentityMode,
) -> Result<(), Failure> {
    let (product, caller) = (&context.product, &context.caller);
    let wants = request.capabilities;
    let kinds = [
        (wants.phone || wants.voice_ai, ChannelKind::Phone),
        (wants.whatsapp, ChannelKind::Whatsapp),
        (wants.email, ChannelKind::Email),
    ];
    let mut obtained: Vec<Sender> = Vec::new();
    for (_, kind) in kinds.into_iter().filter(|(wanted, _)| *wanted) {
        // Read again: WhatsApp uses the number that was just bought.
        let profile = product.agents.get(caller, agent).await?;
        let add = AddChannel {
            identifier: request
                .preferred_phone_number
                .as_deref()
                .filter(|_| kind != ChannelKind::Email),
            mail_domain: request.mail_domain.as_deref(),
            country: request.country.as_deref(),
            ..AddChannel::default()
        };
        match product.senders.provide(caller, &profile, kind, &add, mode).await {
            Ok(sender) => obtained.extend(sender),
            Err(failure) => {
                obtained.reverse();
                product.senders.discard(caller, &obtained).await;
                return Err(failure.detail("channel", kind.as_str()));
            }
        }
    }
    Ok(())
}

async fn set_voice(context: &Context, agent: &str, request: &ProvisionRequest) -> Result<(), Failure> {
    let given = [
        &request.language,
        &request.voice,
        &request.greeting,
        &request.system_prompt,
        &request.gender,
    ];
    if given.iter().all(|value| value.is_none()) {
        return Ok(());
    }
    let change = VoiceSettingsChange {
        language: request.language.clone(),
        voice: request.voice.clone(),
        greeting: request.greeting.clone(),
        system_prompt: request.system_prompt.clone(),
        gender: request.gender.clone(),
        ..VoiceSettingsChange::default()
    };
    let agent = context.product.agents.on_behalf_of(&context.caller, agent).await?;
    change_voice_settings(&context.product.calls, &agent, change)
        .await
        .map(drop)
}
