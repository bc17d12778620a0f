//! Permanent bridges: an inbound call to a number of an agent is connected with another number. The second leg passes the same
//! checks as a transfer: the compliance rules, the rate limits, and the budget for its first minute.

use butt_dial_domain::{Address, AgentId, Channel, Code, Failure, Scope, ids, ports::bus::Headers, subjects};
use butt_dial_identity::{Caller, on_behalf_of};
use butt_dial_messaging::outbound::find_own_sender;
pub use butt_dial_store::CallBridge;
use butt_dial_store::StoreError;
use serde_json::json;

use super::{
    handle::Calls,
    originate,
    state::{AfterSession, CallState},
    transfer,
};

/// Bridges of an organization.
const MAX_BRIDGES: u32 = 1_000;
const MAX_LABEL: usize = butt_dial_domain::bounds::LABEL;

/// A bridge to set up.
pub struct NewBridge<'a> {
    /// The caller that it applies to. `None`: every caller.
    pub from: Option<&'a str>,
    /// The number of the agent. `None`: the one that it has.
    pub local: Option<&'a str>,
    pub destination: &'a str,
    pub label: Option<&'a str>,
}

/// Sets up a bridge for a number of the calling agent.
pub async fn set_up(calls: &Calls, caller: &Caller, new: NewBridge<'_>) -> Result<CallBridge, Failure> {
    caller.require(Scope::OrgAdmin)?;
    let profile = caller.agent()?;
    let destination = originate::check_callee(calls, caller, new.destination).await?;
    let local = match new.local {
        Some(number) => {
            let number = parse("localNumber", number)?;
            let mut own = profile.senders(Channel::Voice);
            if !own.any(|owned| owned.address == number) {
                return Err(
                    Failure::new(Code::ChannelUnavailable, "localNumber is not a number of this agent")
                        .on(Channel::Voice)
                        .hint("leave it out to use the agent's number"),
                );
            }
            number
        }
        None => find_own_sender(profile, Channel::Voice, None)?.address,
    };
    let from = new.from.map(|number| parse("fromNumber", number)).transpose()?;
    if destination.as_str() == local {
        return Err(Failure::new(
            Code::InvalidArgument,
            "destinationNumber is the number that is bridged: the call would not end",
        ));
    }
    let label = new.label.map(str::trim);
    if label.is_some_and(|label| label.chars().count() > MAX_LABEL || label.chars().any(char::is_control)) {
        let text = format!("label is one line of up to {MAX_LABEL} characters");
        return Err(Failure::new(Code::InvalidArgument, text).detail("fields", json!(["label"])));
    }
    let bridge = CallBridge {
        id: format!("brg_{}", ids::unique()),
        org_id: profile.agent.org_id.to_string(),
        agent_id: profile.agent.id.to_string(),
        local_number: local,
        from_number: from,
        destination: destination.as_str().to_owned(),
        label: label.map(str::to_owned),
        created_at: calls.clock.now(),
    };
    calls
        .store
        .create_bridge(&bridge, MAX_BRIDGES)
        .await
        .map_err(|error| match error {
            StoreError::Conflict => Failure::new(Code::AlreadyExists, "this number has a bridge for this caller")
                .hint("remove it first; list shows all bridges"),
            other => other.into(),
        })?;
    announce(calls, &bridge).await;
    Ok(bridge)
}

/// Lists the bridges of the caller's organization.
pub async fn list(calls: &Calls, caller: &Caller) -> Result<Vec<CallBridge>, Failure> {
    caller.require(Scope::OrgAdmin)?;
    Ok(calls.store.list_bridges(caller.org()?).await?)
}

/// Finds a bridge of the caller's organization.
pub async fn get(calls: &Calls, caller: &Caller, id: &str) -> Result<CallBridge, Failure> {
    let all = list(calls, caller).await?;
    all.into_iter()
        .find(|bridge| bridge.id == id)
        .ok_or_else(no_such_bridge)
}

/// Removes a bridge. Calls that it connects go on.
pub async fn remove(calls: &Calls, caller: &Caller, id: &str) -> Result<CallBridge, Failure> {
    caller.require(Scope::OrgAdmin)?;
    let removed = calls
        .store
        .delete_bridge(caller.org()?, id)
        .await?
        .ok_or_else(no_such_bridge)?;
    announce(calls, &removed).await;
    Ok(removed)
}

/// Connects an inbound call, if its number has a bridge for the caller. Fails if the second leg is not allowed or not paid for.
pub(crate) async fn connect(calls: &Calls, state: &mut CallState) -> Result<bool, Failure> {
    // A repeated callback: the call is charged already.
    if let Ok(Some(existing)) = calls.find_state(&state.info.call).await
        && matches!(existing.after_session, AfterSession::Transfer { .. })
    {
        *state = existing;
        return Ok(true);
    }
    let info = &state.info;
    let Some(bridge) = calls.store.find_bridge(&info.agent, &info.local, &info.remote).await? else {
        return Ok(false);
    };
    let agent = AgentId::from(bridge.agent_id.as_str());
    let Some(caller) = on_behalf_of(&calls.store, &agent).await? else {
        return Ok(false);
    };
    let to = originate::check_callee(calls, &caller, &bridge.destination).await?;
    transfer::charge(calls, &caller, info, &to).await?;
    state.after_session = AfterSession::Transfer {
        to: to.as_str().to_owned(),
        whisper: None,
        digits: None,
    };
    Ok(true)
}

/// Replicas cache whether a number has bridges.
async fn announce(calls: &Calls, bridge: &CallBridge) {
    let payload = format!("{} {}", Channel::Voice, bridge.local_number).into();
    let published = calls.bus.publish(subjects::ROUTE_CHANGED, Headers::new(), payload);
    if let Err(error) = published.await {
        tracing::warn!(%error, "changed bridge not announced; the refresh of the routes finds it");
    }
}

fn parse(field: &'static str, number: &str) -> Result<String, Failure> {
    let parsed = Address::parse(Channel::Voice, number).map_err(|error| {
        Failure::new(Code::InvalidArgument, format!("{field}: {error}")).detail("fields", json!([field]))
    })?;
    Ok(parsed.as_str().to_owned())
}

fn no_such_bridge() -> Failure {
    Failure::new(Code::NotFound, "your organization has no bridge with this id").hint("list shows all bridges")
}
