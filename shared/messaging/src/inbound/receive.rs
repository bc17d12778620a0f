//! Receiving webhooks: the order of the stages.

use butt_dial_domain::ports::{
    bus::Headers,
    webhook::{Acknowledgement, WebhookRequest},
};
use butt_dial_store::StoreError;

use super::{
    Inbound, RawWebhook, Routes, VerifiedWebhook, WebhookRefusal, authorize, envelope::Envelope, parse, publish,
};

impl Inbound {
    /// Receives a webhook. When this returns the acknowledgement, the webhook's events are durable.
    pub async fn receive(&self, routes: &Routes, raw: RawWebhook) -> Result<Acknowledgement, WebhookRefusal> {
        let trace = raw.trace.clone();
        let verified = self.verify(raw).await?;
        let (carrier, acknowledgement) = (verified.carrier, verified.webhooks.acknowledgement());
        let parsed =
            parse::parse(verified).inspect_err(|_| self.metrics.record_webhook_event(carrier, "unreadable"))?;
        let authorized = authorize::authorize(self, routes, parsed).await?;
        publish::publish(self, authorized, &trace).await?;
        Ok(acknowledgement)
    }

    /// Verifies that the carrier sent the webhook.
    pub async fn verify(&self, raw: RawWebhook) -> Result<VerifiedWebhook, WebhookRefusal> {
        super::verify::verify(self, raw).await
    }

    /// Appends an event to the durable stream. Returns false if it has been appended before.
    pub async fn append(&self, carrier: &str, envelope: &Envelope, trace: &Headers) -> Result<bool, WebhookRefusal> {
        publish::append(self, carrier, envelope, envelope.partition_key(), trace).await
    }

    /// Answers a carrier's GET request that asks whether it may send webhooks here (Meta does).
    pub fn handshake(&self, carrier: &str, request: &WebhookRequest) -> Option<String> {
        self.carriers.find_webhooks(carrier)?.1.handshake(request)
    }

    /// Loads the routes. `Routes::follow` keeps them up to date.
    pub async fn load_routes(&self) -> Result<Routes, StoreError> {
        Routes::load(
            self.store.clone(),
            self.bus.clone(),
            self.clock.clone(),
            self.outbound.pool_binding(),
        )
        .await
    }
}
