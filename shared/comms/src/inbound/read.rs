//! What a believed request says.

use butt_dial_domain::{AgentId, inbound::Notice};

use super::{WebhookRefusal, verify::VerifiedWebhook};

pub struct ReadWebhook {
    pub carrier: &'static str,
    pub only: Option<AgentId>,
    pub notices: Vec<Notice>,
}

pub fn read(verified: VerifiedWebhook) -> Result<ReadWebhook, WebhookRefusal> {
    let notices = verified.webhooks.read(&verified.request).map_err(|unreadable| {
        tracing::warn!(
            carrier = verified.carrier,
            reason = unreadable.0,
            "a signed webhook can't be read"
        );
        WebhookRefusal::Unreadable
    })?;
    Ok(ReadWebhook {
        carrier: verified.carrier,
        only: verified.only,
        notices,
    })
}
