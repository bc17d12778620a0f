//! Cost of outbound calls: charged minute by minute during the call, settled at its end.

use butt_dial_billing::{Billing, PriceList};
use butt_dial_domain::{
    Address, Channel, MessageId, Micros,
    call::{CallInfo, CallStatus, Direction},
    clock::Timestamp,
};
use butt_dial_store::{Call, Store, StoreError};

use super::handle::Calls;

/// The result of charging a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinuteCharge {
    Charged,
    /// The budget does not cover another minute, so none was charged.
    OverBudget,
    /// The database is unavailable, so no minute was charged.
    Unavailable,
}

/// Charges another minute to the call's message.
pub async fn charge_minute(calls: &Calls, info: &CallInfo) -> MinuteCharge {
    match extend_cost(calls, info).await {
        Ok(charge) => charge,
        Err(error) => {
            tracing::warn!(%error, call = %info.call, "minute of a call not charged: database unavailable");
            MinuteCharge::Unavailable
        }
    }
}

async fn extend_cost(calls: &Calls, info: &CallInfo) -> Result<MinuteCharge, StoreError> {
    let Some(profile) = calls.store.find_profile(&info.agent).await? else {
        return Ok(MinuteCharge::OverBudget);
    };
    let limits = calls.billing.limits_of(&profile);
    let (message, price) = (
        MessageId::from(info.call.as_str()),
        minute_price(calls.billing.prices(), &info.remote),
    );
    let now = calls.clock.now();
    match calls
        .store
        .extend_cost(&message, price, Micros::ZERO, limits.agent, limits.org, now)
        .await
    {
        Ok(_) => Ok(MinuteCharge::Charged),
        Err(StoreError::OverBudget) => Ok(MinuteCharge::OverBudget),
        Err(error) => Err(error),
    }
}

/// Estimates the price of a minute. A number that cannot be parsed costs nothing until the carrier reports a price.
fn minute_price(prices: PriceList<'_>, number: &str) -> Micros {
    Address::parse(Channel::Voice, number).map_or(Micros::ZERO, |to| prices.minute(&to))
}

/// Settles the cost of a finished call. Later reports settle it again.
pub(crate) async fn settle(store: &Store, billing: &Billing, call: &Call, now: Timestamp) {
    if call.direction != Direction::Outbound {
        return;
    }
    let cost = |call: &Call| cost_of(billing.prices(), call);
    if let Err(error) = store.settle_call(&call.id, &cost, now).await {
        tracing::warn!(%error, call = %call.id, "call cost not settled: it remains an estimate");
    }
}

/// Returns the carrier's price, else the price of the started minutes. `None`: the call was answered and its length is not
/// reported yet, so the charges so far remain.
fn cost_of(prices: PriceList<'_>, call: &Call) -> Option<Micros> {
    let was_answered = call.answered_at.is_some() || call.status == CallStatus::Completed;
    match (call.cost, call.duration_seconds) {
        (Some(price), _) => Some(Micros(price)),
        (None, Some(seconds)) => {
            let minutes = seconds.saturating_add(59) / 60;
            let minute = minute_price(prices, &call.remote_number);
            Some(Micros(minute.0.saturating_mul(minutes)))
        }
        (None, None) => (!was_answered).then_some(Micros::ZERO),
    }
}

#[cfg(test)]
mod tests {
    use butt_dial_billing::Prices;

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
    fn settles_by_price_else_by_started_minutes() {
        let prices = Prices::read(None).unwrap();
        let prices = prices.on(Timestamp::UNIX_EPOCH.date_naive());
        let minute = minute_price(prices, "+14155550123").0;
        for (status, seconds, price, cost) in [
            // The end of the socket is reported before the length of the call.
            (CallStatus::Completed, None, None, None),
            (CallStatus::Completed, Some(61), None, Some(2 * minute)),
            (CallStatus::Completed, Some(0), None, Some(0)),
            (CallStatus::Completed, Some(61), Some(7), Some(7)),
            (CallStatus::Completed, None, Some(7), Some(7)),
            (CallStatus::NoAnswer, None, None, Some(0)),
            (CallStatus::Busy, Some(0), None, Some(0)),
        ] {
            let cost = cost.map(Micros);
            assert_eq!(
                cost_of(prices, &call(status, seconds, price)),
                cost,
                "{status:?} {seconds:?}"
            );
        }
        let answered = Call {
            answered_at: Some(Timestamp::UNIX_EPOCH),
            ..call(CallStatus::Failed, None, None)
        };
        assert_eq!(cost_of(prices, &answered), None);
    }
}
