//! The compliance stage: applies every rule to the message and its contact.

use butt_dial_compliance::{Decision, Facts};
use butt_dial_domain::Failure;

use super::{Outbound, idempotency::NewMessage, validate::ValidMessage};

/// A message that no rule blocks.
pub(super) struct CompliantMessage {
    pub message: ValidMessage,
    pub decision: Decision,
    /// The recipient is an agent of the same organization: the message needs no carrier.
    pub is_internal: bool,
    /// The recipient is an agent of the same organization, whose consent is not needed.
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
    let decision = outbound.compliance.check(&message.profile.agent.id, &facts)?;
    Ok(CompliantMessage {
        // A call always needs a carrier, which executes its script.
        is_colleague: contact.recipient_agent.is_some(),
        is_internal: contact.recipient_agent.is_some() && message.content.call.is_none(),
        message,
        decision,
    })
}
