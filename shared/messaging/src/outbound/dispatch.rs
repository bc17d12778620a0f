//! The dispatch stage: the one request to the carrier. The only caller of `Messaging::send`; the reconciler's repeat with a key
//! uses [`send_once`] too.

use std::time::Instant;

use butt_dial_domain::ports::carrier::{Dispatch, Outcome, Refusal, RefusalClass};
use butt_dial_store::AttemptOutcome;
use tracing::{Instrument, field::Empty};

use super::{Outbound, reserve::ReservedMessage};
use crate::{Carrier, PendingCall};

/// A message after its request to the carrier.
pub(super) struct Dispatched {
    pub message: ReservedMessage,
    pub outcome: Outcome,
}

/// Sends the message to its carrier. A call's state is persisted before the request, and removed if the carrier refuses.
pub(super) async fn dispatch(outbound: &Outbound, message: ReservedMessage) -> Dispatched {
    let outcome = match create_pending_call(outbound, &message).await {
        Ok(()) => send_once(outbound, &message.carrier, &message.dispatch).await,
        Err(refusal) => Outcome::Refused(refusal),
    };
    if message.dispatch.content.call.is_some() && matches!(outcome, Outcome::Refused(_)) {
        outbound.calls.discard_pending(&message.dispatch.message).await;
    }
    Dispatched { message, outcome }
}

/// Does not place a call without a persisted state: its callbacks could not be answered.
async fn create_pending_call(outbound: &Outbound, message: &ReservedMessage) -> Result<(), Refusal> {
    let Some(options) = &message.dispatch.content.call else {
        return Ok(());
    };
    let call = PendingCall {
        agent: &message.agent,
        org: &message.org,
        carrier: message.carrier.id,
        account: message.carrier.account.as_ref(),
        dispatch: &message.dispatch,
        options,
    };
    outbound.calls.create_pending(call).await.map_err(|error| {
        tracing::warn!(%error, call = %message.dispatch.message, "call not placed: its state was not persisted");
        Refusal {
            class: RefusalClass::Unreachable,
            carrier_code: None,
            retry_after_seconds: None,
        }
    })
}

/// Makes one request to the carrier, and measures it. Never repeats it.
pub(super) async fn send_once(outbound: &Outbound, carrier: &Carrier, dispatch: &Dispatch) -> Outcome {
    let span = tracing::debug_span!(
        "carrier",
        otel.name = %format_args!("{} send", carrier.id),
        otel.kind = "client",
        otel.status_code = Empty,
        carrier = carrier.id,
        message_id = %dispatch.message,
        outcome = Empty
    );
    let started = Instant::now();
    let outcome = carrier.messaging.send(dispatch).instrument(span.clone()).await;
    let label: &'static str = attempt_outcome(&outcome).into();
    span.record("outcome", label);
    if !matches!(outcome, Outcome::Accepted(_)) {
        span.record("otel.status_code", "ERROR");
    }
    outbound
        .metrics
        .record_carrier_request(carrier.id, label, started.elapsed());
    if let Outcome::Refused(refusal) = &outcome {
        let code = refusal.carrier_code.as_deref();
        outbound.metrics.record_carrier_error(carrier.id, code);
        if refusal.class == RefusalClass::Configuration {
            check_account(outbound, carrier);
        }
    }
    tracing::info!(message_id = %dispatch.message, carrier = carrier.id, channel = %dispatch.channel, outcome = label,
        millis = started.elapsed().as_millis() as u64, "carrier request finished");
    outcome
}

/// Finds out in the background whether the vendor refuses the account's credentials, or only this message.
fn check_account(outbound: &Outbound, carrier: &Carrier) {
    let (Some(account), Some(accounts)) = (carrier.account.clone(), outbound.carriers.accounts().cloned()) else {
        return;
    };
    outbound
        .tasks
        .spawn(async move { accounts.check_credentials(&account).await });
}

/// The outcome as it is stored and counted.
pub(super) fn attempt_outcome(outcome: &Outcome) -> AttemptOutcome {
    match outcome {
        Outcome::Accepted(_) => AttemptOutcome::Accepted,
        Outcome::Refused(_) => AttemptOutcome::Refused,
        Outcome::Unknown(_) => AttemptOutcome::Unknown,
    }
}
