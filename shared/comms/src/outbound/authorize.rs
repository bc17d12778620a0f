//! Who sends, and from which address. An agent sends as itself; an administrator as any agent of the same organization.

use std::sync::Arc;

use butt_dial_domain::{Address, AgentId, Channel, Code, Failure, Scope, ids};
use butt_dial_store::{AgentStatus, OwnedChannel, Profile};

use super::SendRequest;
use crate::{
    Comms,
    identity::{Caller, wrong_scope},
    store_failure,
};

/// A request whose sender is settled.
pub struct Authorized {
    pub request: SendRequest,
    pub profile: Arc<Profile>,
    pub sender: OwnedChannel,
}

pub async fn authorize(comms: &Comms, request: SendRequest) -> Result<Authorized, Failure> {
    let profile = sending_agent(comms, &request.caller, request.agent.as_deref()).await?;
    if profile.agent.status != AgentStatus::Active {
        return Err(Failure::new(
            Code::AuthForbidden,
            format!("this agent is {}", profile.agent.status.as_str()),
        )
        .remedy("an administrator has to set it active"));
    }
    let sender = sender(&profile, request.channel, request.sender.as_deref())?;
    let mut request = request;
    if let Some(address) = address_of_agent(comms, &profile, &request).await? {
        request.to = address;
    }
    Ok(Authorized {
        sender,
        profile,
        request,
    })
}

async fn sending_agent(comms: &Comms, caller: &Caller, named: Option<&str>) -> Result<Arc<Profile>, Failure> {
    match (named, &caller.profile) {
        (None, Some(own)) => Ok(own.clone()),
        (None, None) => Err(wrong_scope(
            "this needs an agent's token, or agentId to say which agent sends",
        )),
        (Some(named), Some(own)) if own.agent.id.as_str() == named => Ok(own.clone()),
        (Some(named), _) => {
            let unknown = || Failure::new(Code::AgentNotFound, "there is no such agent");
            // Whoever may not send as others learns nothing about whether the agent exists.
            caller.require(Scope::OrgAdmin).map_err(|_| unknown())?;
            if !ids::is_valid_host_id(named) {
                return Err(unknown());
            }
            let found = comms
                .store
                .find_profile(&AgentId::from(named))
                .await
                .map_err(store_failure)?;
            let profile = found.filter(|p| Some(&p.agent.org_id) == caller.principal.org.as_ref());
            profile.map(Arc::new).ok_or_else(unknown)
        }
    }
}

/// An agent may be named by its id instead of its address, by whoever belongs to the same organization.
async fn address_of_agent(comms: &Comms, sender: &Profile, request: &SendRequest) -> Result<Option<String>, Failure> {
    if !ids::is_valid_host_id(&request.to) || Address::parse(request.channel, &request.to).is_ok() {
        return Ok(None);
    }
    let named = AgentId::from(request.to.as_str());
    let found = comms.store.find_profile(&named).await.map_err(store_failure)?;
    let Some(named) = found.filter(|profile| profile.agent.org_id == sender.agent.org_id) else {
        return Ok(None);
    };
    match named.channel(request.channel) {
        Some(owned) => Ok(Some(owned.address.clone())),
        None => Err(Failure::new(
            Code::InvalidRecipient,
            format!("the agent that you name has no address on {}", request.channel),
        )
        .on(request.channel)
        .remedy("choose a channel that both of you have")),
    }
}

/// The agent's own address on the channel, where it may be used; `named`: the one that the caller wants it to be.
pub fn sender(profile: &Profile, channel: Channel, named: Option<&str>) -> Result<OwnedChannel, Failure> {
    let available: Vec<&str> = profile
        .channels
        .iter()
        // Whoever wants to write is not helped by a telephone line.
        .filter(|owned| !owned.paused && (channel == Channel::Voice || owned.channel != Channel::Voice))
        .map(|owned| owned.channel.as_str())
        .collect();
    match profile.channel(channel) {
        Some(owned) if named.is_some_and(|named| named != owned.address) => Err(Failure::new(
            Code::ChannelUnavailable,
            "senderSid is none of your addresses on this channel",
        )
        .on(channel)
        .remedy(format!("leave senderSid out: messages go out from {}", owned.address))),
        Some(owned) if !owned.paused => Ok(owned.clone()),
        Some(_) => Err(Failure::new(
            Code::ChannelUnavailable,
            format!("{channel} is paused or blocked for this agent"),
        )
        .on(channel)
        .remedy("use another channel, or have an administrator resume this one")
        .detail("availableChannels", available)),
        None => Err(Failure::new(
            Code::NoChannelAssigned,
            format!("not provisioned: this agent has no {channel} sender"),
        )
        .on(channel)
        .remedy("use one of availableChannels, or have an administrator assign a sender")
        .detail("availableChannels", available)),
    }
}
