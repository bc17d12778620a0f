//! The authorization stage: finds the agent of each message. Messages to unknown addresses are refused; blocked channels drop
//! messages, except STOP, START and HELP, which the law gives every person.

use std::sync::Arc;

use butt_dial_domain::{
    Channel,
    inbound::{InboundMessage, Receipt, WebhookEvent},
};
use butt_dial_store::{InboundRoute, SenderRoute};

use super::{Inbound, Routes, WebhookRefusal, keyword, parse::ParsedWebhook};

/// Events that may be published, in their order.
pub(super) struct AuthorizedWebhook {
    pub carrier: &'static str,
    pub events: Vec<AuthorizedEvent>,
}

pub(super) enum AuthorizedEvent {
    Message(Arc<InboundRoute>, Box<InboundMessage>),
    /// With the key of its partition.
    Receipt(Receipt, String),
}

pub(super) async fn authorize(
    inbound: &Inbound,
    routes: &Routes,
    parsed: ParsedWebhook,
) -> Result<AuthorizedWebhook, WebhookRefusal> {
    let ParsedWebhook {
        carrier,
        account,
        only,
        events,
    } = parsed;
    let signer = account.as_ref().map(|account| &account.account);
    let mut authorized = Vec::with_capacity(events.len());
    let mut has_unknown = false;
    let mut has_blocked = false;
    for event in events {
        let mut message = match event {
            WebhookEvent::Receipt(mut receipt) => {
                receipt.org = account.as_ref().map(|account| account.org.clone());
                let key = receipt_key(routes, &receipt);
                authorized.push(AuthorizedEvent::Receipt(receipt, key));
                continue;
            }
            WebhookEvent::Skipped(entry) => {
                inbound.metrics.record_webhook_event(carrier, entry.as_str());
                continue;
            }
            WebhookEvent::Message(message) => message,
        };
        // Not every carrier says when the person wrote.
        message.sent_at.get_or_insert_with(|| inbound.clock.now());
        let route = routes.resolve(message.channel, &message.to, &message.from).await;
        match route.map_err(|_| WebhookRefusal::Unavailable)? {
            // A secret speaks for the senders of its account only.
            Some(route) if signer != route.account.as_ref() => {
                has_unknown = true;
                tracing::warn!(carrier, agent = %route.agent, "message of another account for this sender refused");
                inbound.metrics.record_webhook_event(carrier, "wrong_account");
            }
            Some(route) if only.as_deref().is_some_and(|agent| agent != route.agent.host_id()) => has_unknown = true,
            Some(route) if route.blocked && !is_about_consent(&message) => {
                has_blocked = true;
                inbound.metrics.record_webhook_event(carrier, "blocked");
            }
            Some(route) => {
                name_recipient(&mut message, &route);
                authorized.push(AuthorizedEvent::Message(route, message));
            }
            None => has_unknown = true,
        }
    }
    if has_unknown {
        inbound.metrics.record_webhook_event(carrier, "unknown_number");
    }
    // A webhook can hold messages for several addresses. It is refused only if none of them is known.
    if has_unknown && authorized.is_empty() && !has_blocked {
        return Err(WebhookRefusal::Unknown);
    }
    Ok(AuthorizedWebhook {
        carrier,
        events: authorized,
    })
}

/// Names the recipient of a mail by the address of its owner, and keeps the subaddress that it was sent to.
fn name_recipient(message: &mut InboundMessage, route: &InboundRoute) {
    if message.channel != Channel::Email || message.to == route.address {
        return;
    }
    let tag = message.to.rsplit_once('@').and_then(|(local, _)| local.split_once('+'));
    let tag = tag
        .map(|(_, tag)| tag.to_owned())
        .filter(|_| !route.address.contains('+'));
    if tag.is_some() {
        message.mail.get_or_insert_default().tag = tag;
    }
    message.to.clone_from(&route.address);
}

/// Returns whether the message gives or revokes consent, or asks for help.
fn is_about_consent(message: &InboundMessage) -> bool {
    keyword::detect(message).is_some() || message.marketing.is_some()
}

/// Returns the key of a receipt's partition: the agent that sent the message, as far as it is cached.
fn receipt_key(routes: &Routes, receipt: &Receipt) -> String {
    let Some(sender) = &receipt.sender else {
        return receipt.carrier_id.clone();
    };
    let owner = routes.find_cached(receipt.channel, sender);
    let owner = owner.as_ref().and_then(SenderRoute::agent);
    owner.map_or_else(|| sender.clone(), |route| route.agent.as_str().to_owned())
}
