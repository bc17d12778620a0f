//! Who called. Nothing of a request is believed, or even read, before its signature is.

use std::sync::Arc;

use butt_dial_domain::{
    AgentId,
    ports::webhook::{Distrust, WebhookRequest, Webhooks},
};

use super::{RawWebhook, Via, WebhookRefusal};
use crate::Comms;

/// A request that its carrier made.
pub struct VerifiedWebhook {
    pub carrier: &'static str,
    pub webhooks: Arc<dyn Webhooks>,
    pub request: WebhookRequest,
    /// The agent that the path names: nobody else's address may be in it.
    pub only: Option<AgentId>,
}

pub fn verify(comms: &Comms, raw: RawWebhook) -> Result<VerifiedWebhook, WebhookRefusal> {
    let RawWebhook { via, request, .. } = raw;
    let (found, only) = match via {
        Via::Carrier(carrier) => (comms.carriers.find_webhooks(&carrier), None),
        // The path does not name the carrier; its signature's header does.
        Via::Agent(agent) => {
            let mut callers = comms.carriers.webhooks();
            let found = callers.find(|(_, webhooks)| request.headers.contains_key(webhooks.signature_header()));
            (found, Some(agent))
        }
    };
    // Whoever signs nothing is no carrier, and learns nothing of whom there is.
    if found.is_none() && only.is_some() {
        comms.metrics.webhook("unknown", Distrust::Unsigned.as_str());
        return Err(WebhookRefusal::Untrusted(Distrust::Unsigned));
    }
    let Some((carrier, webhooks)) = found else {
        comms.metrics.webhook("unknown", "unknown_carrier");
        return Err(WebhookRefusal::Unknown);
    };
    if let Err(distrust) = webhooks.verify(&request) {
        comms.metrics.webhook(carrier, distrust.as_str());
        tracing::warn!(carrier, reason = distrust.as_str(), "a webhook is not believed");
        return Err(WebhookRefusal::Untrusted(distrust));
    }
    Ok(VerifiedWebhook {
        carrier,
        webhooks: webhooks.clone(),
        request,
        only,
    })
}
