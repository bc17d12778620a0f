//! Dialled legs: the second person of a bridge, and the callee of a transfer. No relay serves them, so the dispatcher charges
//! them minute by minute and ends the call when the budget is used up.

use std::sync::Arc;

use butt_dial_billing::EffectiveLimits;
use butt_dial_domain::{
    Address, CallId, Channel, Failure, MessageId, Micros,
    call::{CallInfo, Direction, Purpose},
    message::ThreadRef,
    ports::voice::{ControlError, Voice},
};
use butt_dial_store::{AcceptedSend, AttemptOutcome, CallLeg, SendResult, SettledSend, StoreError};
use chrono::TimeDelta;

use super::handle::Calls;

/// Legs of one sweep.
const BATCH: u32 = 64;
const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// Records a dialled leg. Its first minute is charged already. Returns false when the database is unavailable: nothing would
/// charge the following minutes, so the leg must end after the first one.
pub(crate) async fn open(calls: &Calls, info: &CallInfo, to: &str) -> bool {
    let Some(carrier_id) = info.carrier_id.clone() else {
        return false;
    };
    let prices = calls.billing.prices();
    let price = |number: &str| Address::parse(Channel::Voice, number).map_or(Micros::ZERO, |to| prices.leg_minute(&to));
    let leg = CallLeg {
        call: info.call.clone(),
        agent: info.agent.clone(),
        carrier: info.carrier.clone(),
        carrier_id,
        leg_price: price(to),
        call_price: match info.direction {
            Direction::Inbound => Micros::ZERO,
            Direction::Outbound => price(&info.remote),
        },
        paid_until: calls.clock.now() + MINUTE,
    };
    // The estimate of a bridge covers the first minute of both legs; a transfer has charged its own.
    let is_bridge = matches!(info.plan.purpose, Purpose::Connect { .. });
    let reserved = is_bridge.then_some(leg.leg_price);
    let opened = calls.store.open_call_leg(&leg, reserved).await;
    opened
        .inspect_err(|error| tracing::warn!(%error, call = %info.call, "dialled leg not recorded: limited to a minute"))
        .is_ok()
}

/// Records that the leg has ended. A leg that stays recorded is removed when its call ends.
pub(crate) async fn close(calls: &Calls, call: &CallId) {
    if let Err(error) = calls.store.close_call_leg(call).await {
        tracing::warn!(%error, %call, "ended leg not closed: it is charged until the end of the call");
    }
}

/// Charges the first minute of a transferred inbound call. The message that holds its cost has the id of the call.
pub(crate) async fn charge_inbound(
    calls: &Calls,
    info: &CallInfo,
    limits: &EffectiveLimits,
    to: &Address,
    price: Micros,
) -> Result<(), StoreError> {
    let message = MessageId::from(info.call.as_str());
    let now = calls.clock.now();
    if calls.store.find_message(&message).await?.is_some() {
        return calls
            .store
            .extend_cost(&message, price, price, limits.agent, limits.org, now)
            .await;
    }
    let carrier = calls.find_voice(info).await?;
    let carrier = carrier.map_or("unknown", |(carrier, _)| carrier);
    let accepted = AcceptedSend::builder()
        .id(message.clone())
        .org(info.org.clone())
        .agent(info.agent.clone())
        .channel(Channel::Voice)
        .sender(info.local.clone())
        .recipient(to.as_str().to_owned())
        .idempotency_key(format!("transfer:{}", info.call))
        .request_hash("transfer".to_owned())
        .body_hash(String::new())
        .content(Vec::new())
        .verdict("allow")
        .carrier(carrier)
        .estimate(price.0)
        .agent_limits(limits.agent)
        .org_limits(limits.org)
        .maybe_budget(limits.token.clone())
        .thread(ThreadRef::default())
        .replica(calls.replica.to_string())
        .at(now)
        .check_at(now + MINUTE)
        .build();
    calls.store.accept_send(accepted).await?;
    let settled = SettledSend {
        result: SendResult::Accepted {
            carrier_id: message.as_str().to_owned(),
            carrier_status: "transferred".to_owned(),
            segments: None,
            cost: price.0,
        },
        id: message,
        outcome: AttemptOutcome::Accepted,
        detail: None,
        disclosed_to: None,
        trace: None,
        at: now,
    };
    calls.store.settle_send(settled).await.map(drop)
}

/// Charges the next minute of each leg that is not paid any more, and ends calls over budget. Returns how many legs it
/// charged.
pub async fn charge_due(calls: &Calls) -> Result<usize, Failure> {
    let due = calls.store.list_due_call_legs(calls.clock.now(), BATCH).await?;
    let mut charged = 0;
    for leg in due {
        let until = leg.paid_until + MINUTE;
        if calls.store.claim_call_leg(&leg, until).await? {
            charge(calls, &leg).await;
            charged += 1;
        }
    }
    Ok(charged)
}

async fn charge(calls: &Calls, leg: &CallLeg) {
    let call = &leg.call;
    match extend_cost(calls, leg).await {
        Ok(()) => {}
        Err(StoreError::OverBudget) => end_call(calls, leg).await,
        // The carrier's time limit of the call still bounds it.
        Err(error) => tracing::warn!(%error, %call, "minute of a dialled leg not charged"),
    }
}

async fn extend_cost(calls: &Calls, leg: &CallLeg) -> Result<(), StoreError> {
    let Some(profile) = calls.store.find_profile(&leg.agent).await? else {
        return Err(StoreError::OverBudget);
    };
    let limits = calls.billing.limits_of(&profile);
    let message = MessageId::from(leg.call.as_str());
    let by = Micros(leg.leg_price.0 + leg.call_price.0);
    calls
        .store
        .extend_cost(&message, by, leg.leg_price, limits.agent, limits.org, calls.clock.now())
        .await
}

async fn find_leg_voice(calls: &Calls, leg: &CallLeg) -> Option<Arc<dyn Voice>> {
    let found = async {
        let Some(call) = calls.store.find_call(&leg.agent, leg.call.as_str()).await? else {
            return Ok(None);
        };
        calls.find_voice_of_number(&leg.carrier, &call.local_number).await
    };
    let found: Result<_, StoreError> = found.await;
    let (_, voice) = found
        .inspect_err(|error| tracing::warn!(%error, call = %leg.call, "carrier of a dialled leg not found"))
        .ok()??;
    Some(voice)
}

async fn end_call(calls: &Calls, leg: &CallLeg) {
    let call = &leg.call;
    tracing::info!(%call, "call ended: the budget does not cover another minute of the dialled leg");
    let Some(voice) = find_leg_voice(calls, leg).await else {
        return;
    };
    match voice.hang_up(&leg.carrier_id).await {
        Ok(()) | Err(ControlError::CallEnded) => close(calls, call).await,
        Err(error) => {
            tracing::warn!(%error, %call, "call over budget not ended; the next sweep tries again");
            let claimed = CallLeg {
                paid_until: leg.paid_until + MINUTE,
                ..leg.clone()
            };
            if let Err(error) = calls.store.claim_call_leg(&claimed, leg.paid_until).await {
                tracing::warn!(%error, %call, "leg not returned to the sweep");
            }
        }
    }
}
