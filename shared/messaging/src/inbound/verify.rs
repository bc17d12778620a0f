//! The verification stage: the carrier's signature. No part of a request is parsed before its signature is verified.

use std::sync::Arc;

use butt_dial_domain::ports::webhook::{VerificationError, WebhookRequest, Webhooks};

use super::{Inbound, RawWebhook, Via, WebhookRefusal};

/// A webhook with a valid signature.
pub struct VerifiedWebhook {
    pub carrier: &'static str,
    pub webhooks: Arc<dyn Webhooks>,
    pub request: WebhookRequest,
    /// The host's id of the agent in the path. Messages to other agents are refused.
    pub only: Option<String>,
}

pub(super) fn verify(inbound: &Inbound, raw: RawWebhook) -> Result<VerifiedWebhook, WebhookRefusal> {
    let RawWebhook { via, request, .. } = raw;
    let (found, only) = match via {
        Via::Carrier(carrier) => (inbound.carriers.find_webhooks(&carrier), None),
        // The path does not name the carrier; the signature header does.
        Via::Agent(agent) => {
            let mut callers = inbound.carriers.webhooks();
            let found = callers.find(|(_, webhooks)| request.headers.contains_key(webhooks.signature_header()));
            (found, Some(agent))
        }
    };
    // An unsigned request must not reveal whether the agent exists.
    if found.is_none() && only.is_some() {
        inbound
            .metrics
            .record_webhook_event("unknown", VerificationError::Unsigned.as_str());
        return Err(WebhookRefusal::Untrusted(VerificationError::Unsigned));
    }
    let Some((carrier, webhooks)) = found else {
        inbound.metrics.record_webhook_event("unknown", "unknown_carrier");
        return Err(WebhookRefusal::Unknown);
    };
    if let Err(error) = webhooks.verify(&request) {
        inbound.metrics.record_webhook_event(carrier, error.as_str());
        tracing::warn!(carrier, reason = error.as_str(), "webhook verification failed");
        return Err(WebhookRefusal::Untrusted(error));
    }
    Ok(VerifiedWebhook {
        carrier,
        webhooks: webhooks.clone(),
        request,
        only,
    })
}
