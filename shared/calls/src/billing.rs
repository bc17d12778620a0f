//! What a call costs while it lasts.

use butt_dial_domain::{
    Address, Channel, MessageId, Micros,
    call::{CallStatus, Direction},
};
use butt_dial_store::{Call, StoreError};

use super::state::CallInfo;
use crate::{Comms, billing::prices};

/// Books another minute. False: the budget does not hold it, and nothing is booked.
pub async fn charge_minute(comms: &Comms, info: &CallInfo, message: &MessageId) -> Result<bool, StoreError> {
    let Some(profile) = comms.store.find_profile(&info.agent).await? else {
        return Ok(false);
    };
    let agent_limits = profile.agent_limits.unwrap_or(comms.settings.default_limits);
    let org_limits = profile.org_limits.unwrap_or_default();
    let now = comms.clock.now();
    match comms
        .store
        .extend_cost(message, minute(&info.remote), agent_limits, org_limits, now)
        .await
    {
        Ok(_) => Ok(true),
        Err(StoreError::OverBudget) => Ok(false),
        Err(error) => Err(error),
    }
}

/// An estimate; a number that can't be read costs what the carrier says afterwards.
fn minute(number: &str) -> Micros {
    Address::parse(Channel::Voice, number).map_or(Micros::ZERO, |to| prices::minute(&to))
}

/// Books what a call of an agent's has cost, now that it is over. Whatever is told of it afterwards settles it again.
pub async fn settle(comms: &Comms, call: &Call) {
    if call.direction != Direction::Outbound {
        return;
    }
    if let Err(error) = comms.store.settle_call(&call.id, &cost_of, comms.clock.now()).await {
        tracing::warn!(%error, call = %call.id, "what a call has cost stays an estimate");
    }
}

/// What the carrier says, or begun minutes. `None`: somebody has talked, and nobody has told yet for how long; until then
/// what was booked minute after minute stands.
fn cost_of(call: &Call) -> Option<Micros> {
    let was_answered = call.answered_at.is_some() || call.status == CallStatus::Completed;
    match (call.cost, call.duration_seconds) {
        (Some(price), _) => Some(Micros(price)),
        (None, Some(seconds)) => {
            let minutes = seconds.saturating_add(59) / 60;
            Some(Micros(minute(&call.remote_number).0.saturating_mul(minutes)))
        }
        (None, None) => (!was_answered).then_some(Micros::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::clock::Timestamp;

    use super::*;

    fn call(status: CallStatus, duration_seconds: Option<i64>, cost: Option<i64>) -> Call {
        let now = Timestamp::UNIX_EPOCH;
        Call {
            id: "call_1".into(),
            org: "org_1".into(),
            agent: "agt_1".into(),
            direction: Direction::Outbound,
            carrier: "simulator".into(),
            carrier_id: Some("CA1".into()),
            local_number: "+14155550100".into(),
            remote_number: "+14155550123".into(),
            status,
            answered_by: None,
            handled_by: None,
            created_at: now,
            answered_at: None,
            ended_at: Some(now),
            duration_seconds,
            turns: 0,
            latency: None,
            cost,
            error_code: None,
            end_reason: None,
            recording_id: None,
            recording_url: None,
            recording_seconds: None,
            content: None,
            updated_at: now,
        }
    }

    #[test]
    fn a_call_costs_what_is_known_of_it() {
        let minute = minute("+14155550123").0;
        for (status, seconds, price, cost) in [
            // The socket's end is told before the call's length is.
            (CallStatus::Completed, None, None, None),
            (CallStatus::Completed, Some(61), None, Some(2 * minute)),
            (CallStatus::Completed, Some(0), None, Some(0)),
            (CallStatus::Completed, Some(61), Some(7), Some(7)),
            (CallStatus::Completed, None, Some(7), Some(7)),
            (CallStatus::NoAnswer, None, None, Some(0)),
            (CallStatus::Busy, Some(0), None, Some(0)),
        ] {
            let cost = cost.map(Micros);
            assert_eq!(cost_of(&call(status, seconds, price)), cost, "{status:?} {seconds:?}");
        }
        let answered = Call {
            answered_at: Some(Timestamp::UNIX_EPOCH),
            ..call(CallStatus::Failed, None, None)
        };
        assert_eq!(cost_of(&answered), None);
    }
}
