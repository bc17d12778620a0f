//! A call of an agent's is paid for minute by minute, ahead: an agent without money left hangs up, politely.

use std::time::Duration;

use butt_dial_comms::{
    Comms,
    calls::state::{CallInfo, CallState},
};
use butt_dial_domain::{MessageId, call::Direction, clock::Timestamp};
use chrono::TimeDelta;

const MINUTE: TimeDelta = TimeDelta::minutes(1);
/// Time to say so.
const AHEAD: TimeDelta = TimeDelta::seconds(8);

/// Until when the call is paid for, where it has to be.
pub fn paid_at_first(state: &CallState, answered_at: Timestamp) -> Option<Timestamp> {
    match state.info.direction {
        Direction::Inbound => None,
        // The first minute was paid for before the call was placed.
        Direction::Outbound => Some(state.paid_until.unwrap_or(answered_at + MINUTE)),
    }
}

/// How long until the next minute is due.
pub fn due_in(paid_until: Option<Timestamp>, now: Timestamp) -> Option<Duration> {
    paid_until.map(|until| (until - AHEAD - now).to_std().unwrap_or_default())
}

pub enum Paid {
    Until(Timestamp),
    /// There is no money left for it.
    NoMore,
}

/// Pays for another minute. What can't be asked right now is paid for later: a call is not cut for a fault of ours.
pub async fn pay(comms: Comms, info: CallInfo, paid_until: Timestamp) -> Paid {
    let message = MessageId::from(info.call.as_str());
    match butt_dial_comms::calls::billing::charge_minute(&comms, &info, &message).await {
        Ok(true) => Paid::Until(paid_until + MINUTE),
        Ok(false) => Paid::NoMore,
        Err(error) => {
            tracing::warn!(%error, call = %info.call, "a minute of a call can't be booked yet");
            Paid::Until(paid_until + TimeDelta::seconds(5))
        }
    }
}
