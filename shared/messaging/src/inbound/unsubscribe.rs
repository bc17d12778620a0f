//! Unsubscribing by the link of a mail: an inbound event, like a message with the word STOP.

use butt_dial_domain::{
    Channel,
    clock::Timestamp,
    inbound::{InboundMessage, Keyword},
    ports::bus::Headers,
};

use super::{
    Inbound, Routes, WebhookRefusal,
    envelope::{Envelope, digest},
};
use crate::mail::UnsubscribeToken;

/// The source of the event, in place of a carrier.
pub(super) const SOURCE: &str = "unsubscribe";

impl Inbound {
    /// Returns whether the token is one of this installation.
    pub fn is_unsubscribe_token(&self, token: &str) -> bool {
        UnsubscribeToken::open(&self.vault, token).is_some()
    }

    /// Unsubscribes the recipient of a token. When this returns, it is durable. Fails with `Unknown` for an invalid token, or
    /// when the sender is deleted.
    pub async fn unsubscribe(&self, routes: &Routes, token: &str, now: Timestamp) -> Result<(), WebhookRefusal> {
        let UnsubscribeToken { recipient, sender } =
            UnsubscribeToken::open(&self.vault, token).ok_or(WebhookRefusal::Unknown)?;
        let route = routes.resolve(Channel::Email, &sender, &recipient).await;
        let route = route
            .map_err(|_| WebhookRefusal::Unavailable)?
            .ok_or(WebhookRefusal::Unknown)?;
        // One event a minute: a repeated request changes nothing, a later one may follow a new consent.
        let id = digest(&[&recipient, &sender, &(now.timestamp() / 60).to_string()]);
        let message = InboundMessage {
            answered_keyword: Some(Keyword::Stop),
            sent_at: Some(now),
            ..InboundMessage::between(id, Channel::Email, &recipient, &sender)
        };
        let envelope = Envelope::message(&self.vault, SOURCE, &route, message);
        self.append(SOURCE, &envelope, &Headers::new()).await?;
        self.metrics.record_webhook_event(SOURCE, "accepted");
        Ok(())
    }
}
