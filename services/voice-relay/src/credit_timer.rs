//! Charges an outbound call minute by minute, in advance. When the agent's budget is used up, the call ends with a last
//! sentence.

use std::{sync::Arc, time::Duration};

use butt_dial_calls::{
    Calls,
    billing::{self, MinuteCharge},
    state::CallState,
};
use butt_dial_domain::{
    call::{CallInfo, Direction},
    clock::Timestamp,
};
use chrono::TimeDelta;
use futures::{
    FutureExt,
    future::{BoxFuture, pending},
};
use tokio::time::Instant;

const MINUTE: TimeDelta = TimeDelta::minutes(1);
/// The next minute is charged this much earlier, which leaves time for a last sentence.
const CHARGE_AHEAD: TimeDelta = TimeDelta::seconds(8);
const RETRY_AFTER: TimeDelta = TimeDelta::seconds(5);

/// Returns the end of the time that is paid for when a session begins. `None`: the call costs the agent nothing.
pub fn initially_paid_until(state: &CallState, now: Timestamp) -> Option<Timestamp> {
    match state.info.direction {
        Direction::Inbound => None,
        // The first minute was charged before the call was placed.
        Direction::Outbound => Some(state.paid_until.unwrap_or(now + MINUTE)),
    }
}

/// The result of a charge.
pub enum Credit {
    PaidUntil(Timestamp),
    Exhausted,
}

#[derive(Default)]
pub struct CreditTimer {
    charge: Option<BoxFuture<'static, Credit>>,
}

impl CreditTimer {
    /// Returns the time of the next charge. `None`: none is due, or one is in progress.
    pub fn deadline(&self, paid_until: Option<Timestamp>, now: Timestamp) -> Option<Instant> {
        let until = paid_until.filter(|_| self.charge.is_none())?;
        Some(Instant::now() + time_left(until, now))
    }

    /// Starts a charge if it is due.
    pub fn charge_if_due(&mut self, calls: &Arc<Calls>, state: &CallState, now: Timestamp) {
        let Some(until) = state.paid_until.filter(|_| self.charge.is_none()) else {
            return;
        };
        if time_left(until, now).is_zero() {
            self.charge = Some(charge(calls.clone(), state.info.clone(), until).boxed());
        }
    }

    /// Waits for the charge in progress. Can be cancelled without loss.
    pub async fn charged(&mut self) -> Credit {
        let Some(charge) = &mut self.charge else {
            return pending().await;
        };
        let credit = charge.await;
        self.charge = None;
        credit
    }
}

fn time_left(paid_until: Timestamp, now: Timestamp) -> Duration {
    (paid_until - CHARGE_AHEAD - now).to_std().unwrap_or_default()
}

/// Charges another minute. If the database is unavailable, the charge is repeated later: an outage must not end a call.
async fn charge(calls: Arc<Calls>, info: CallInfo, paid_until: Timestamp) -> Credit {
    match billing::charge_minute(&calls, &info).await {
        MinuteCharge::Charged => Credit::PaidUntil(paid_until + MINUTE),
        MinuteCharge::OverBudget => Credit::Exhausted,
        MinuteCharge::Unavailable => Credit::PaidUntil(paid_until + RETRY_AFTER),
    }
}
