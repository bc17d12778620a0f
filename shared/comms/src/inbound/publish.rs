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
        let is_new = append(comms, carrier, &envelope, trace).await?;
        comms
            .metrics
            .webhook(carrier, if is_new { "accepted" } else { "repeated" });
    }
    Ok(())
}

/// False when it has been appended before.
pub(crate) async fn append(
    comms: &Comms,
    carrier: &str,
    envelope: &Envelope,
    trace: &Headers,
) -> Result<bool, WebhookRefusal> {
    let payload = envelope.payload().into();
    let appended = comms
        .bus
        .append(subjects::INBOUND, &envelope.id, trace.clone(), payload)
        .await;
    appended.map(|appended| !appended.duplicate).map_err(|error| {
        tracing::warn!(%error, carrier, "a webhook can't be made durable");
        comms.metrics.webhook(carrier, "unavailable");
        WebhookRefusal::Unavailable
    })
}
