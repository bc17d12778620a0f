//! The request to the carrier. The only caller of `Messaging::send` beside the reconciler's keyed repeat, which goes
//! through `send_once` too.

use std::time::Instant;

use butt_dial_domain::ports::carrier::{Dispatch, Outcome, Refusal, RefusalClass};
use tracing::{Instrument, field::Empty};

use super::admit::AdmittedMessage;
use crate::{
    Carrier, Comms,
    calls::place::{self, Owner},
};

/// A message that has been tried, and what came of it.
pub struct Dispatched {
    pub admitted: AdmittedMessage,
    pub outcome: Outcome,
}

pub async fn dispatch(comms: &Comms, admitted: AdmittedMessage) -> Dispatched {
    let outcome = match expect_call(comms, &admitted).await {
        Ok(()) => send_once(comms, &admitted.carrier, &admitted.dispatch).await,
        Err(refusal) => Outcome::Refused(refusal),
    };
    if admitted.dispatch.content.call.is_some() && matches!(outcome, Outcome::Refused(_)) {
        place::forget(comms, &admitted.dispatch.message).await;
    }
    Dispatched { admitted, outcome }
}

/// A call that could not be answered for is not placed.
async fn expect_call(comms: &Comms, admitted: &AdmittedMessage) -> Result<(), Refusal> {
    let Some(placing) = &admitted.dispatch.content.call else {
        return Ok(());
    };
    let owner = Owner {
        agent: &admitted.agent,
        org: &admitted.org,
    };
    let expected = place::expect(comms, &owner, admitted.carrier.id, &admitted.dispatch, placing).await;
    expected.map_err(|error| {
        tracing::warn!(%error, call = %admitted.dispatch.message, "a call can't be written down, and is not placed");
        Refusal {
            class: RefusalClass::Unreachable,
            carrier_code: None,
            retry_after_seconds: None,
        }
    })
}

/// Sends, and counts it. Whether a message may be sent is decided before; nothing is repeated here.
pub async fn send_once(comms: &Comms, carrier: &Carrier, dispatch: &Dispatch) -> Outcome {
    let span = tracing::debug_span!("carrier", carrier = carrier.id, message_id = %dispatch.message, outcome = Empty);
    let begun = Instant::now();
    let outcome = carrier.messaging.send(dispatch).instrument(span.clone()).await;
    let word = word(&outcome);
    span.record("outcome", word);
    comms.metrics.carrier(carrier.id, word, begun.elapsed());
    tracing::info!(message_id = %dispatch.message, carrier = carrier.id, channel = %dispatch.channel, outcome = word,
        millis = begun.elapsed().as_millis() as u64, "sent to the carrier");
    outcome
}

pub fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted(_) => "accepted",
        Outcome::Refused(_) => "refused",
        Outcome::Unknown(_) => "unknown",
    }
}
