//! The read model of calls: the stored row, merged with the state of a live call.

use butt_dial_domain::{
    Address, AgentId, CallId, Channel, Code, Failure, MessageId, OrgId,
    call::{CallStatus, Direction},
    ids,
};
use butt_dial_identity::Caller;
pub use butt_dial_store::Call;

use super::{commands, handle::Calls, state::CallState, transcript};

/// Maximum length of a list.
pub const MAX_LIST: u32 = butt_dial_domain::bounds::PAGE;

/// One call.
pub struct CallDetails {
    /// Derived from `live` as long as the database has no row.
    pub record: Call,
    /// `None`: the call ended some time ago.
    pub live: Option<CallState>,
    /// Kept until the retention of calls ends, or while the call is live.
    pub transcript: Option<String>,
}

pub fn call_not_found() -> Failure {
    Failure::new(Code::CallNotFound, "you have no such call").hint("take callId from the call's event")
}

/// Resolves a call id or a carrier's id to the id of one of the agent's calls. Fails with `CallNotFound` for a carrier's id
/// of another agent.
pub async fn resolve(calls: &Calls, agent: &AgentId, id: &str) -> Result<CallId, Failure> {
    if !ids::is_valid_host_id(id) {
        return Err(call_not_found());
    }
    if id.starts_with(CallId::PREFIX) {
        return Ok(CallId::from(id));
    }
    let found = calls.store.find_call(agent, id).await?;
    found.map(|call| call.id).ok_or_else(call_not_found)
}

/// Like `resolve`, for commands to a live call. Fails with `AuthForbidden` if the caller's token is not granted the
/// person on the line.
pub async fn resolve_granted(calls: &Calls, caller: &Caller, id: &str) -> Result<CallId, Failure> {
    let agent = &caller.agent()?.agent.id;
    let call = resolve(calls, agent, id).await?;
    if caller.grants().is_some() {
        let state = commands::find_owned_call(calls, agent, &call).await?;
        let person = Address::known(Channel::Voice, &state.info.remote);
        caller.require_recipient(Channel::Voice, &person, None)?;
    }
    Ok(call)
}

/// Gets one of the agent's calls by its id or the carrier's id.
pub async fn get(calls: &Calls, org: &OrgId, agent: &AgentId, id: &str) -> Result<CallDetails, Failure> {
    if !ids::is_valid_host_id(id) {
        return Err(call_not_found());
    }
    let record = calls.store.find_call(agent, id).await?;
    let call = record.as_ref().map_or_else(|| CallId::from(id), |call| call.id.clone());
    let live = calls.find_state(&call).await.unwrap_or_else(|error| {
        tracing::warn!(%error, %call, "live call state unavailable");
        None
    });
    let live = live.filter(|state| &state.info.agent == agent);
    let record = match (record, &live) {
        (Some(record), _) => record,
        (None, Some(state)) => derive_record(state),
        (None, None) => return Err(call_not_found()),
    };
    let record = match (record.direction, record.cost) {
        (Direction::Outbound, None) => with_charged_cost(calls, record).await,
        _ => record,
    };
    let stored = record.content.as_deref().and_then(|sealed| {
        let plain = calls.vault.decrypt(org, call.as_str(), sealed);
        let plain = plain.inspect_err(|error| tracing::error!(%error, %call, "transcript decryption failed"));
        String::from_utf8(plain.ok()?).ok()
    });
    let transcript = stored.or_else(|| live.as_ref().map(transcript::render));
    Ok(CallDetails {
        record,
        live,
        transcript: transcript.filter(|text| !text.is_empty()),
    })
}

/// Adds the charges so far to a call without a price from the carrier. They are stored with the call's message.
async fn with_charged_cost(calls: &Calls, mut record: Call) -> Call {
    let found = calls.store.find_message(&MessageId::from(record.id.as_str())).await;
    match found {
        Ok(message) => record.cost = message.and_then(|message| message.cost),
        Err(error) => tracing::warn!(%error, call = %record.id, "call cost lookup failed"),
    }
    record
}

fn derive_record(state: &CallState) -> Call {
    let info = &state.info;
    Call {
        id: info.call.clone(),
        org: info.org.clone(),
        agent: info.agent.clone(),
        direction: info.direction,
        carrier: info.carrier.clone(),
        carrier_id: info.carrier_id.clone(),
        local_number: info.local.clone(),
        remote_number: info.remote.clone(),
        status: match (state.owner.is_some(), info.direction) {
            (true, _) => CallStatus::InProgress,
            (false, Direction::Inbound) => CallStatus::Ringing,
            (false, Direction::Outbound) => CallStatus::Queued,
        },
        answered_by: None,
        handled_by: None,
        created_at: info.started_at,
        answered_at: state.answered_at,
        ended_at: None,
        duration_seconds: None,
        turns: 0,
        latency: None,
        cost: None,
        error_code: None,
        end_reason: state.ended.clone(),
        recording_id: None,
        recording_url: None,
        recording_seconds: None,
        content: None,
        updated_at: info.started_at,
    }
}

/// Lists calls, newest first, that are older than `before`.
pub async fn list(
    calls: &Calls,
    agent: &AgentId,
    only_live: bool,
    limit: u32,
    before: Option<&str>,
) -> Result<Vec<Call>, Failure> {
    let limit = limit.clamp(1, MAX_LIST);
    if before.is_some_and(|id| !ids::is_valid_host_id(id)) {
        return Err(call_not_found());
    }
    Ok(calls.store.list_calls(agent, only_live, limit, before).await?)
}

/// Lists calls of an organization, newest first, that are older than `before`.
pub async fn list_of_org(
    calls: &Calls,
    org: &OrgId,
    agent: Option<&AgentId>,
    only_live: bool,
    limit: u32,
    before: Option<&str>,
) -> Result<Vec<Call>, Failure> {
    let limit = limit.clamp(1, MAX_LIST);
    if before.is_some_and(|id| !ids::is_valid_host_id(id)) {
        return Err(call_not_found());
    }
    Ok(calls
        .store
        .list_calls_of_org(org, agent, only_live, limit, before)
        .await?)
}

/// Gets a call of an organization by its id or the carrier's id.
pub async fn get_of_org(calls: &Calls, org: &OrgId, id: &str) -> Result<CallDetails, Failure> {
    if !ids::is_valid_host_id(id) {
        return Err(call_not_found());
    }
    let agent = match calls.store.find_call_of_org(org, id).await? {
        Some(call) => call.agent,
        // A live call may have no row yet.
        None => {
            let live = calls.find_state(&CallId::from(id)).await;
            let live = live.unwrap_or_else(|error| {
                tracing::warn!(%error, call = id, "live call state unavailable");
                None
            });
            let live = live.filter(|state| &state.info.org == org);
            live.ok_or_else(call_not_found)?.info.agent
        }
    };
    get(calls, org, &agent, id).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::Bench;

    #[tokio::test]
    async fn finds_a_call_by_either_id_for_its_agent_only() {
        let bench = Bench::new().await;
        let (calls, agent) = (&*bench.calls, &bench.agent);
        let entry = butt_dial_store::CallEntry {
            id: CallId::generate(),
            org: agent.org_id.clone(),
            agent: agent.id.clone(),
            direction: butt_dial_domain::call::Direction::Outbound,
            carrier: "twilio".into(),
            carrier_id: Some("CA1".into()),
            local_number: "+14155550100".into(),
            remote_number: "+14155550123".into(),
            at: calls.clock.now(),
        };
        calls.store.open_call(&entry).await.unwrap();
        for name in ["CA1", entry.id.as_str()] {
            assert_eq!(resolve(calls, &agent.id, name).await, Ok(entry.id.clone()));
            let found = get(calls, &agent.org_id, &agent.id, name).await.ok().unwrap();
            assert_eq!(found.record.id, entry.id);
        }
        let stranger = AgentId::generate();
        for name in ["CA1", entry.id.as_str(), "", "a b", "\u{0}"] {
            let found = get(calls, &agent.org_id, &stranger, name).await;
            assert!(
                found.is_err_and(|failure| failure.code == Code::CallNotFound),
                "{name:?}"
            );
        }
        assert_eq!(list(calls, &agent.id, true, 0, None).await.unwrap().len(), 1);
    }
}
