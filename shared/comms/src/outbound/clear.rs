//! Compliance: one look at what is known of the contact, then every rule. Also the place where a request that has been
//! answered before is recognized, in the same round trip.

use butt_dial_domain::{Failure, MessageId};

use super::clean::CleanMessage;
use crate::{
    Comms,
    compliance::{self, Facts, Ruling},
    store_failure,
};

/// A message that no rule stands against.
pub struct ClearedMessage {
    pub message: CleanMessage,
    pub ruling: Ruling,
    /// It is for an agent of the same organization, and needs no carrier.
    pub stays_inside: bool,
}

pub enum Clearance {
    Cleared(Box<ClearedMessage>),
    /// The idempotency key has named a message before.
    Earlier(super::receipt::Earlier),
}

pub async fn clear(comms: &Comms, message: CleanMessage) -> Result<Clearance, Failure> {
    let agent = &message.profile.agent;
    let channel = (&message.sender.id, message.channel);
    let contact = comms
        .store
        .find_contact_state(
            &agent.org_id,
            &agent.id,
            channel,
            message.to.as_str(),
            &message.idempotency_key,
        )
        .await
        .map_err(store_failure)?;
    if let Some(id) = contact.earlier_message() {
        return Ok(Clearance::Earlier(earlier(id, &message)));
    }
    let facts = Facts {
        channel: message.channel,
        to: &message.to,
        content: &message.content,
        contact: &contact,
        simulated_world: comms.settings.simulated_world,
        now: comms.clock.now(),
    };
    let ruling = compliance::check(comms, &agent.id, &facts)?;
    Ok(Clearance::Cleared(Box::new(ClearedMessage {
        // A call goes through the carrier, whomever it is to: what it is told to do with it, only a carrier can.
        stays_inside: contact.colleague.is_some() && message.content.call.is_none(),
        message,
        ruling,
    })))
}

pub fn earlier(id: MessageId, message: &CleanMessage) -> super::receipt::Earlier {
    super::receipt::Earlier {
        id,
        request_hash: message.request_hash.clone(),
    }
}
