//! Calls as an agent may look at them: what is written down, and what is live beside it.

use butt_dial_domain::{
    AgentId, CallId, Code, Failure, MessageId, OrgId,
    call::{CallStatus, Direction},
    ids,
};
pub use butt_dial_store::Call;

use super::{
    state::{self, CallState},
    voicemail,
};
use crate::Comms;

/// The most that one list holds.
pub const MAX_LIST: u32 = 200;

/// What is known of one call.
pub struct CallDetails {
    /// Where nothing is written down yet: made from what is live.
    pub record: Call,
    /// `None`: it is over for long.
    pub live: Option<CallState>,
    /// What was said, as far as it is kept.
    pub transcript: Option<String>,
}

pub fn call_not_found() -> Failure {
    Failure::new(Code::CallNotFound, "you have no such call").hint("take callId from the call's event")
}

/// Our id of one of the agent's calls, named by it or by the carrier's id.
pub async fn resolve(comms: &Comms, agent: &AgentId, id: &str) -> Result<CallId, Failure> {
    if !ids::is_valid_host_id(id) {
        return Err(call_not_found());
    }
    if id.starts_with(CallId::PREFIX) {
        return Ok(CallId::from(id));
    }
    let found = comms.store.find_call(agent, id).await?;
    found.map(|call| call.id).ok_or_else(call_not_found)
}

pub async fn get(comms: &Comms, org: &OrgId, agent: &AgentId, id: &str) -> Result<CallDetails, Failure> {
    if !ids::is_valid_host_id(id) {
        return Err(call_not_found());
    }
    let record = comms.store.find_call(agent, id).await?;
    let call = record.as_ref().map_or_else(|| CallId::from(id), |call| call.id.clone());
    let live = state::find(comms, &call).await.unwrap_or_else(|error| {
        tracing::warn!(%error, %call, "a live call can't be looked at; what is written down is told");
        None
    });
    let live = live.filter(|state| &state.info.agent == agent);
    let record = match (record, &live) {
        (Some(record), _) => record,
        (None, Some(state)) => unwritten(state),
        (None, None) => return Err(call_not_found()),
    };
    let record = match (record.direction, record.cost) {
        (Direction::Outbound, None) => with_cost(comms, record).await,
        _ => record,
    };
    let kept = record.content.as_deref().and_then(|sealed| {
        let plain = comms.vault.decrypt(org, call.as_str(), sealed);
        let plain = plain.inspect_err(|error| tracing::error!(%error, %call, "a transcript can't be opened"));
        String::from_utf8(plain.ok()?).ok()
    });
    let transcript = kept.or_else(|| live.as_ref().map(voicemail::transcript));
    Ok(CallDetails {
        record,
        live,
        transcript: transcript.filter(|text| !text.is_empty()),
    })
}

/// What is booked for a call that the carrier has told no price of: it stands with the message that the call is.
async fn with_cost(comms: &Comms, mut record: Call) -> Call {
    let found = comms.store.find_message(&MessageId::from(record.id.as_str())).await;
    match found {
        Ok(message) => record.cost = message.and_then(|message| message.cost),
        Err(error) => tracing::warn!(%error, call = %record.id, "what a call costs can't be looked up"),
    }
    record
}

fn unwritten(state: &CallState) -> Call {
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

/// The newest first, those that are older than `before`.
pub async fn list(
    comms: &Comms,
    agent: &AgentId,
    only_live: bool,
    limit: u32,
    before: Option<&str>,
) -> Result<Vec<Call>, Failure> {
    let limit = limit.clamp(1, MAX_LIST);
    if before.is_some_and(|id| !ids::is_valid_host_id(id)) {
        return Err(call_not_found());
    }
    comms
        .store
        .list_calls(agent, only_live, limit, before)
        .await
        .map_err(Failure::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::tests::bench::Bench;

    #[tokio::test]
    async fn a_call_has_two_names_and_one_owner() {
        let bench = Bench::new().await;
        let (comms, agent) = (&bench.comms, &bench.agent);
        let entry = butt_dial_store::CallEntry {
            id: CallId::generate(),
            org: agent.org_id.clone(),
            agent: agent.id.clone(),
            direction: butt_dial_domain::call::Direction::Outbound,
            carrier: "twilio".into(),
            carrier_id: Some("CA1".into()),
            local_number: "+14155550100".into(),
            remote_number: "+14155550123".into(),
            at: comms.clock.now(),
        };
        comms.store.open_call(&entry).await.unwrap();
        for name in ["CA1", entry.id.as_str()] {
            assert_eq!(resolve(comms, &agent.id, name).await, Ok(entry.id.clone()));
            let known = get(comms, &agent.org_id, &agent.id, name).await.ok().unwrap();
            assert_eq!(known.record.id, entry.id);
        }
        let stranger = AgentId::generate();
        for name in ["CA1", entry.id.as_str(), "", "a b", "\u{0}"] {
            let found = get(comms, &agent.org_id, &stranger, name).await;
            assert!(
                found.is_err_and(|failure| failure.code == Code::CallNotFound),
                "{name:?}"
            );
        }
        assert_eq!(list(comms, &agent.id, true, 0, None).await.unwrap().len(), 1);
    }
}
