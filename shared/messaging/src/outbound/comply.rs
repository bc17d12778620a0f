//! The compliance stage: applies the rules to the message's contact. The content is checked after the limits, because that
//! takes the more time the longer a text is.

use butt_dial_compliance::{Decision, Facts};
use butt_dial_domain::{Failure, message::Content};

use super::{Outbound, idempotency::NewMessage, validate::ValidMessage};

/// Bytes. A shorter text is checked at once: the change of the thread would take longer.
const SHORT: usize = 16 * 1024;

/// A message that no rule about its contact blocks.
pub(super) struct CompliantMessage {
    pub message: ValidMessage,
    pub decision: Decision,
    /// The recipient is an agent of the same organization: the message needs no carrier.
    pub is_internal: bool,
    /// The recipient is an agent of the same organization. Its consent is not needed.
    pub is_colleague: bool,
}

/// Decides on the message. A block is the error.
pub(super) fn comply(outbound: &Outbound, new: NewMessage) -> Result<CompliantMessage, Failure> {
    let NewMessage { message, contact } = new;
    let facts = Facts {
        channel: message.channel,
        to: &message.to,
        content: &message.content,
        contact: &contact,
        simulated_world: outbound.settings.simulated_world,
        now: outbound.clock.now(),
    };
    let decision = outbound.compliance.check_contact(&message.profile.agent.id, &facts)?;
    Ok(CompliantMessage {
        // A call always needs a carrier, which executes its script.
        is_colleague: contact.recipient_agent.is_some(),
        is_internal: contact.recipient_agent.is_some() && message.content.call.is_none(),
        message,
        decision,
    })
}

/// Checks the content of the message. Long texts are checked beside the async threads, which serve others meanwhile.
pub(super) async fn check_content(outbound: &Outbound, compliant: &CompliantMessage) -> Result<(), Failure> {
    let message = &compliant.message;
    let (agent, channel, decision) = (
        message.profile.agent.id.clone(),
        message.channel,
        compliant.decision.clone(),
    );
    if text_bytes(&message.content) <= SHORT {
        return outbound
            .compliance
            .check_content(&agent, channel, &message.content, &decision);
    }
    let (compliance, content) = (outbound.compliance.clone(), message.content.clone());
    let check = move || compliance.check_content(&agent, channel, &content, &decision);
    tokio::task::spawn_blocking(check).await.unwrap_or_else(|error| {
        tracing::error!(%error, "content check failed");
        Err(Failure::internal())
    })
}

fn text_bytes(content: &Content) -> usize {
    let texts = [&content.subject, &content.body, &content.html];
    texts.into_iter().flatten().map(String::len).sum()
}
