//! The publish stage: appends the events to the durable stream. After it returns, the carrier may be acknowledged.

use butt_dial_domain::ports::bus::Headers;
use tracing::Instrument;

use super::{
    Inbound, WebhookRefusal,
    authorize::{AuthorizedEvent, AuthorizedWebhook},
    envelope::Envelope,
};

pub(super) async fn publish(
    inbound: &Inbound,
    authorized: AuthorizedWebhook,
    trace: &Headers,
) -> Result<(), WebhookRefusal> {
    let carrier = authorized.carrier;
    // One at a time, so that the order is kept.
    for event in authorized.events {
        let (envelope, key) = match event {
            AuthorizedEvent::Message(route, message) => {
                let envelope = Envelope::message(&inbound.vault, carrier, &route, *message);
                (envelope, route.agent.as_str().to_owned())
            }
            AuthorizedEvent::Receipt(receipt, key) => (Envelope::receipt(carrier, &receipt), key),
        };
        let is_new = append(inbound, carrier, &envelope, &key, trace).await?;
        let result = if is_new { "accepted" } else { "repeated" };
        inbound.metrics.record_webhook_event(carrier, result);
    }
    Ok(())
}

/// Appends an event to the partition of a key. Returns false if it has been appended before.
pub(super) async fn append(
    inbound: &Inbound,
    carrier: &str,
    envelope: &Envelope,
    key: &str,
    trace: &Headers,
) -> Result<bool, WebhookRefusal> {
    let payload = envelope.payload().into();
    let span = tracing::debug_span!(
        "publish",
        otel.name = "publish inbound",
        otel.kind = "producer",
        carrier
    );
    let appended = inbound
        .bus
        .append(
            &inbound.partitions.subject_of(key),
            &envelope.id,
            trace.clone(),
            payload,
        )
        .instrument(span)
        .await;
    appended.map(|appended| !appended.duplicate).map_err(|error| {
        tracing::warn!(%error, carrier, "webhook event not appended");
        inbound.metrics.record_webhook_event(carrier, "unavailable");
        WebhookRefusal::Unavailable
    })
}
