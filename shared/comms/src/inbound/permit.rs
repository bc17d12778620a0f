//! Whose it is, and whether it wants it: addresses that nobody has are refused, blocked channels drop what comes, but
//! not what a person wishes by law: STOP counts wherever it is said.

use std::sync::Arc;

use butt_dial_domain::inbound::{InboundMessage, Notice, Receipt};
use butt_dial_store::InboundRoute;

use super::{WebhookRefusal, keyword, read::ReadWebhook, routes::Routes};
use crate::Comms;

/// Notices that may be published, in their order.
pub struct PermittedWebhook {
    pub carrier: &'static str,
    pub notices: Vec<Permitted>,
}

pub enum Permitted {
    Message(Arc<InboundRoute>, Box<InboundMessage>),
    Receipt(Receipt),
}

pub async fn permit(comms: &Comms, routes: &Routes, read: ReadWebhook) -> Result<PermittedWebhook, WebhookRefusal> {
    let ReadWebhook { carrier, only, notices } = read;
    let mut permitted = Vec::with_capacity(notices.len());
    let mut unknown = false;
    let mut blocked = false;
    for notice in notices {
        let message = match notice {
            Notice::Receipt(receipt) => {
                permitted.push(Permitted::Receipt(receipt));
                continue;
            }
            Notice::Message(message) => message,
        };
        let route = routes.find(message.channel, &message.to).await;
        match route.map_err(|_| WebhookRefusal::Unavailable)? {
            Some(route) if only.as_ref().is_some_and(|agent| agent != &route.agent) => unknown = true,
            Some(route) if route.blocked && keyword::of(&message).is_none() => {
                blocked = true;
                comms.metrics.webhook(carrier, "blocked");
            }
            Some(route) => permitted.push(Permitted::Message(route, message)),
            None => unknown = true,
        }
    }
    if unknown {
        comms.metrics.webhook(carrier, "unknown_number");
    }
    // One webhook can hold messages for several addresses; it is unknown only when it holds nothing for us.
    if unknown && permitted.is_empty() && !blocked {
        return Err(WebhookRefusal::Unknown);
    }
    Ok(PermittedWebhook {
        carrier,
        notices: permitted,
    })
}
