//! Into the durable stream. When this returns, a carrier may be told that we have it.

use butt_dial_domain::{ports::bus::Headers, subjects};

use super::{
    WebhookRefusal,
    envelope::Envelope,
    permit::{Permitted, PermittedWebhook},
};
use crate::Comms;

pub async fn publish(comms: &Comms, permitted: PermittedWebhook, trace: &Headers) -> Result<(), WebhookRefusal> {
    let carrier = permitted.carrier;
    // One after the other: what a person wrote first shall stand first.
    for notice in permitted.notices {
        let envelope = match &notice {
            Permitted::Message(route, message) => Envelope::message(&comms.vault, carrier, route, message),
            Permitted::Receipt(receipt) => Envelope::receipt(carrier, receipt),
        };
        let appended = comms
            .bus
            .append(
                subjects::INBOUND,
                &envelope.id,
                trace.clone(),
                envelope.payload().into(),
            )
            .await;
        match appended {
            Ok(appended) => {
                let outcome = if appended.duplicate { "repeated" } else { "accepted" };
                comms.metrics.webhook(carrier, outcome);
            }
            Err(error) => {
                tracing::warn!(%error, carrier, "a webhook can't be made durable");
                comms.metrics.webhook(carrier, "unavailable");
                return Err(WebhookRefusal::Unavailable);
            }
        }
    }
    Ok(())
}
