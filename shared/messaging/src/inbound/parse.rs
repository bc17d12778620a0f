//! The parse stage: the events of a verified webhook.

use std::sync::Arc;

use butt_dial_domain::inbound::WebhookEvent;

use super::{VerifiedWebhook, WebhookRefusal};
use crate::AccountCarrier;

pub(super) struct ParsedWebhook {
    pub carrier: &'static str,
    /// The account that signed the webhook. `None`: the installation's own.
    pub account: Option<Arc<AccountCarrier>>,
    /// The host's id of the agent in the path. Messages to other agents are refused.
    pub only: Option<String>,
    pub events: Vec<WebhookEvent>,
}

pub(super) fn parse(verified: VerifiedWebhook) -> Result<ParsedWebhook, WebhookRefusal> {
    let carrier = verified.carrier;
    let events = verified.webhooks.parse(&verified.request).map_err(|unreadable| {
        tracing::warn!(carrier, reason = unreadable.0, "signed webhook unreadable");
        WebhookRefusal::Unreadable
    })?;
    Ok(ParsedWebhook {
        carrier,
        account: verified.account,
        only: verified.only,
        events,
    })
}
