//! The authorization stage: the agent that sends, and its sender address. An agent sends as itself; an administrator as any
//! agent of the same organization.

use std::sync::Arc;

use butt_dial_domain::{Address, AgentId, Code, Failure, ids};
use butt_dial_identity::{Caller, find_visible_agent, find_visible_id, wrong_scope};
use butt_dial_store::{AgentStatus, OrgMode, OrgStatus, OwnedChannel, Profile};

use super::{
    Outbound, SendRequest,
    choose_sender::{self, Binding},
    granted,
};

/// A request with its sending agent and sender address.
pub(super) struct Authorized {
    pub request: SendRequest,
    pub profile: Arc<Profile>,
    pub sender: OwnedChannel,
}

/// Resolves the sending agent and its sender. Fails if the agent is not active, or has no usable sender on the channel.
pub(super) async fn authorize(
    outbound: &Outbound,
    request: SendRequest,
    binding: Binding,
) -> Result<Authorized, Failure> {
    let profile = find_sending_agent(outbound, &request.caller, request.agent.as_deref()).await?;
    if profile.agent.status != AgentStatus::Active {
        return Err(Failure::new(
            Code::AuthForbidden,
            format!("this agent is {}", profile.agent.status.as_str()),
        )
        .hint("an administrator has to set it active"));
    }
    check_organization(outbound, &profile)?;
    granted::check_early(&request)?;
    let sender = choose_sender::choose(outbound, &profile, &request, binding).await?;
    let mut request = request;
    if let Some(address) = find_agent_address(outbound, &profile, &request).await? {
        request.colleague = Some(std::mem::replace(&mut request.to, address));
    }
    Ok(Authorized {
        sender,
        profile,
        request,
    })
}

/// Fails if the agent's organization may not send, or not through the carriers that this installation has.
fn check_organization(outbound: &Outbound, profile: &Profile) -> Result<(), Failure> {
    if profile.org_status != OrgStatus::Active {
        let status = profile.org_status.as_str();
        return Err(Failure::new(
            Code::AuthForbidden,
            format!("the organization of this agent is {status}"),
        )
        .hint("ask the operator of this installation"));
    }
    if profile.org_mode == OrgMode::Sandbox && !outbound.settings.simulated_world {
        return Err(Failure::new(
            Code::NotSupported,
            "this organization is in the sandbox, and this installation has no simulated carriers",
        )
        .hint("ask the operator of this installation to set the organization live"));
    }
    Ok(())
}

async fn find_sending_agent(
    outbound: &Outbound,
    caller: &Caller,
    named: Option<&str>,
) -> Result<Arc<Profile>, Failure> {
    match (named, &caller.profile) {
        (None, Some(own)) => Ok(own.clone()),
        (None, None) => Err(wrong_scope(
            "this needs an agent's token, or agentId to say which agent sends",
        )),
        (Some(named), Some(own)) if own.agent.id.host_id() == named => Ok(own.clone()),
        (Some(named), _) => find_visible_agent(&outbound.store, caller, named).await.map(Arc::new),
    }
}

/// Returns the id of the agent that sends. `None`: the caller is no agent and names none that it may see; `authorize` refuses it.
pub(super) async fn find_sending_id(outbound: &Outbound, request: &SendRequest) -> Result<Option<AgentId>, Failure> {
    let caller = &request.caller;
    let Some(named) = request.agent.as_deref() else {
        return Ok(caller.principal.agent.clone());
    };
    match find_visible_id(&outbound.store, caller, named).await {
        Err(failure) if failure.code == Code::AgentNotFound => Ok(None),
        found => found.map(Some),
    }
}

/// Resolves a recipient that is given as the id of an agent of the same organization. `None`: it is an address.
async fn find_agent_address(
    outbound: &Outbound,
    sender: &Profile,
    request: &SendRequest,
) -> Result<Option<String>, Failure> {
    // Ids of groups and of agents can look alike.
    let is_address =
        Address::parse(request.channel, &request.to).is_ok_and(|address| !matches!(address, Address::WhatsappGroup(_)));
    if !ids::is_valid_host_id(&request.to) || is_address {
        return Ok(None);
    }
    let Some(named) = outbound.store.find_agent_id(&sender.agent.org_id, &request.to).await? else {
        return Ok(None);
    };
    let Some(named) = outbound.store.find_profile(&named).await? else {
        return Ok(None);
    };
    match named.channel(request.channel) {
        Some(owned) => Ok(Some(owned.address.clone())),
        None => Err(Failure::new(
            Code::InvalidRecipient,
            format!("the agent that you named has no address on {}", request.channel),
        )
        .on(request.channel)
        .hint("choose a channel that both of you have")),
    }
}
