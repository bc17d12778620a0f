//! The record stage: persists the outcome, then answers the caller. Writing is retried until it succeeds or the process stops;
//! after that the reconciler finds the outcome.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    AgentId, Channel, Failure, Micros,
    message::Status,
    ports::carrier::{CarrierAcceptance, Outcome, Refusal, RefusalClass},
    sms,
};
use butt_dial_store::{ConsentBasis, ConsentMethod, SendResult, SettledSend, StageTimes, StoreError, TraceStep};
use chrono::TimeDelta;

use super::{
    Outbound, SendReceipt,
    dispatch::{Dispatched, attempt_outcome},
    refusals::{FREED_BY, error_code, explain},
    reserve::ReservedMessage,
    status_event::{settle_and_tell, tell},
};
use crate::AcceptedCall;

/// How long the caller waits for the outcome to be persisted before the answer is `pending`.
const RECORD_TIMEOUT: Duration = Duration::from_secs(3);
const RETRY_INTERVAL: Duration = Duration::from_millis(250);
/// Attempts times interval is as long as the reconciler leaves the message alone.
const MAX_ATTEMPTS: u32 = 60;

/// Persists the outcome with the durations of the stages, and builds the receipt, or the error of a refusal.
pub(super) async fn record(
    outbound: &Arc<Outbound>,
    dispatched: Dispatched,
    times: StageTimes,
) -> Result<SendReceipt, Failure> {
    let Dispatched { message, outcome } = dispatched;
    let outcome = with_segments(&message, outcome);
    let settled = SettledSend {
        trace: Some(TraceStep::Sent(times)),
        ..settled_send(outbound, &message, &outcome)
    };
    outbound.metrics.record_settled(&settled.result, message.estimate);
    if let Outcome::Refused(Refusal {
        class: class @ (RefusalClass::OptedOut | RefusalClass::OptedOutOfMarketing),
        ..
    }) = &outcome
    {
        revoke_consent(outbound, &message, *class).await;
    }
    let writing = write(outbound.clone(), settled.clone());
    let is_written = match tokio::time::timeout(RECORD_TIMEOUT, writing).await {
        Ok(is_written) => is_written,
        Err(_) => {
            // The caller is answered; the write continues in the background, with the event of the outcome.
            let (agent, channel) = (message.agent.clone(), message.dispatch.channel);
            outbound
                .tasks
                .spawn(write_and_tell(outbound.clone(), agent, channel, settled));
            false
        }
    };
    match outcome {
        Outcome::Accepted(acceptance) if is_written => {
            let call = message.dispatch.content.call.is_some();
            let call = call.then(|| (message.agent.clone(), message.org.clone()));
            let receipt = accepted_receipt(outbound, message, acceptance);
            if let Some((agent, org)) = &call {
                let receipt = &receipt;
                outbound.calls.record_call(AcceptedCall { agent, org, receipt }).await;
            }
            Ok(receipt)
        }
        Outcome::Refused(refusal) if is_written => Err(refusal_error(&refusal, &message)),
        _ => Ok(pending_receipt(message)),
    }
}

/// Adds the number of segments of a text that the carrier has accepted and not counted.
fn with_segments(message: &ReservedMessage, outcome: Outcome) -> Outcome {
    let (channel, content) = (message.dispatch.channel, &message.dispatch.content);
    let is_text = channel == Channel::Sms && content.media.is_empty() && content.template.is_none();
    match outcome {
        Outcome::Accepted(acceptance)
            if is_text && acceptance.segments.is_none() && message.estimate != Micros::ZERO =>
        {
            let (_, segments) = sms::segments(content.body.as_deref().unwrap_or_default());
            Outcome::Accepted(CarrierAcceptance {
                segments: Some(segments),
                ..acceptance
            })
        }
        outcome => outcome,
    }
}

fn settled_send(outbound: &Outbound, message: &ReservedMessage, outcome: &Outcome) -> SettledSend {
    let now = outbound.clock.now();
    let (result, detail) = match outcome {
        Outcome::Accepted(acceptance) => (accepted_result(acceptance, cost(outbound, message, acceptance)), None),
        Outcome::Refused(refusal) => {
            let code = error_code(refusal.class);
            let frees_key = FREED_BY.contains(&code) && !message.keeps_key;
            let failure = code.as_str();
            let detail = refusal
                .carrier_code
                .clone()
                .unwrap_or_else(|| refusal.class.as_str().into());
            (SendResult::Failed { failure, frees_key }, Some(detail))
        }
        Outcome::Unknown(reason) => {
            let delay = outbound.settings.reconcile_after.first();
            let delay = TimeDelta::from_std(delay.copied().unwrap_or(RETRY_INTERVAL)).unwrap_or_default();
            let check_at = now + delay;
            (SendResult::Unknown { check_at }, Some(reason.as_str().to_owned()))
        }
    };
    SettledSend {
        id: message.dispatch.message.clone(),
        result,
        outcome: attempt_outcome(outcome),
        detail,
        disclosed_to: message.disclosed_to.clone(),
        trace: None,
        at: now,
    }
}

/// Returns the cost of an accepted message without a price: by the carrier's own count of segments, which it charges.
fn cost(outbound: &Outbound, message: &ReservedMessage, acceptance: &CarrierAcceptance) -> Micros {
    let dispatch = &message.dispatch;
    let counted = acceptance.segments.filter(|_| message.estimate != Micros::ZERO);
    let (prices, carrier) = (outbound.billing.prices(), Some(message.carrier.id));
    let counted = counted
        .and_then(|count| prices.text_of_segments(dispatch.channel, carrier, &dispatch.to, &dispatch.content, count));
    counted.unwrap_or(message.estimate)
}

/// The stored result of an accepted send. Most carriers report the price later; until then the estimate is the cost.
pub(super) fn accepted_result(acceptance: &CarrierAcceptance, estimate: Micros) -> SendResult {
    SendResult::Accepted {
        carrier_id: acceptance.carrier_id.clone(),
        carrier_status: acceptance.carrier_status.clone(),
        segments: acceptance.segments,
        cost: acceptance.price.unwrap_or(estimate).0,
    }
}

/// Persists the outcome. Returns true once it is settled, by this or another process.
async fn write(outbound: Arc<Outbound>, mut settled: SettledSend) -> bool {
    for _ in 0..MAX_ATTEMPTS {
        match outbound.store.settle_send(settled.clone()).await {
            Ok(_) => return true,
            Err(error) if drop_used_id(&mut settled, &error) => continue,
            Err(error) => tracing::warn!(%error, message_id = %settled.id, "outcome write failed"),
        }
        // During shutdown the reconciler of another replica takes over.
        if outbound.tasks.is_closed() {
            return false;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    tracing::error!(message_id = %settled.id, "outcome not written; the reconciler takes over");
    false
}

/// Persists the outcome of a message that was answered `pending`, with the event of it.
async fn write_and_tell(outbound: Arc<Outbound>, agent: AgentId, channel: Channel, mut settled: SettledSend) {
    for _ in 0..MAX_ATTEMPTS {
        let (id, result) = (settled.id.clone(), settled.result.clone());
        let told = match settle_and_tell(&outbound, &agent, channel, settled.clone()).await {
            // The write that the caller waited for may have been committed after all.
            Ok(false) => tell(&outbound, &agent, (&id, &id), channel, &result).await,
            Ok(true) => Ok(()),
            Err(error) => Err(error),
        };
        match told {
            Ok(()) => return,
            Err(error) if drop_used_id(&mut settled, &error) => continue,
            Err(error) => tracing::warn!(%error, message_id = %settled.id, "outcome write failed"),
        }
        if outbound.tasks.is_closed() {
            return;
        }
        tokio::time::sleep(RETRY_INTERVAL).await;
    }
    tracing::error!(message_id = %settled.id, "outcome not written; the reconciler takes over");
}

/// Removes a carrier id that another message has already: it cannot be stored twice. Returns whether that was the error.
fn drop_used_id(settled: &mut SettledSend, error: &StoreError) -> bool {
    match (error, &mut settled.result) {
        (StoreError::Conflict, SendResult::Accepted { carrier_id, .. }) if !carrier_id.is_empty() => {
            tracing::error!(message_id = %settled.id, "carrier id belongs to another message");
            carrier_id.clear();
            true
        }
        _ => false,
    }
}

/// Records an opt-out that the carrier reports and that is not known here yet.
async fn revoke_consent(outbound: &Outbound, message: &ReservedMessage, class: RefusalClass) {
    let dispatch = &message.dispatch;
    let now = outbound.clock.now();
    let (store, org, to) = (&outbound.store, &message.org, dispatch.to.as_str());
    let basis = ConsentBasis {
        message: Some(dispatch.message.as_str()),
        ..ConsentBasis::new(ConsentMethod::VendorPreference, "carrier")
    };
    let recorded = match class {
        RefusalClass::OptedOutOfMarketing => store.record_marketing_consent(org, to, false, basis, now).await,
        _ => store.record_consent(org, dispatch.channel, to, false, basis, now).await,
    };
    if let Err(error) = recorded {
        tracing::error!(%error, message_id = %dispatch.message, "opt-out reported by the carrier not recorded");
    }
}

fn accepted_receipt(outbound: &Outbound, message: ReservedMessage, acceptance: CarrierAcceptance) -> SendReceipt {
    let cost = acceptance
        .price
        .unwrap_or_else(|| cost(outbound, &message, &acceptance));
    SendReceipt {
        status: Status::Accepted,
        carrier_id: Some(acceptance.carrier_id),
        carrier_status: Some(acceptance.carrier_status),
        segments: acceptance.segments.map(i64::from),
        cost: Some(cost),
        ..pending_receipt(message)
    }
}

/// The receipt of a message with an unknown outcome.
fn pending_receipt(message: ReservedMessage) -> SendReceipt {
    let dispatch = message.dispatch;
    SendReceipt {
        message: dispatch.message,
        status: Status::Unknown,
        channel: dispatch.channel,
        from: dispatch.from.as_str().to_owned(),
        to: dispatch.to.as_str().to_owned(),
        carrier: Some(message.carrier.id.to_owned()),
        carrier_id: None,
        carrier_status: None,
        segments: None,
        cost: None,
        thread: message.thread,
        advice: message.advice,
        sender_advice: message.sender_advice,
        instead_of: None,
        scheduled_at: None,
        parts: Vec::new(),
        replayed: false,
    }
}

fn refusal_error(refusal: &Refusal, message: &ReservedMessage) -> Failure {
    let failure = explain(error_code(refusal.class))
        .on(message.dispatch.channel)
        .detail("failedMessageId", message.dispatch.message.as_str())
        .detail("provider", message.carrier.id);
    let failure = match &refusal.carrier_code {
        Some(code) => failure.detail("providerCode", code.as_str()),
        None => failure,
    };
    match refusal.retry_after_seconds {
        Some(seconds) => failure.retry_after(seconds),
        None => failure,
    }
}
