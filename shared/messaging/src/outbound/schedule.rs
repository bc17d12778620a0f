//! The schedule stage: stores a message that is sent later. Every check has been made by then, so that an agent learns of
//! mistakes at once; they are made again when the message is sent. The id is assigned at once, the outcome follows as an event.

use butt_dial_domain::{Failure, clock::Timestamp, message::Status};
use butt_dial_store::NewScheduledSend;

use super::{
    Outbound, SendReceipt,
    comply::CompliantMessage,
    deferred::StoredRequest,
    idempotency,
    refusals::{explain, stored_error_code},
};

/// Stores the message instead of sending it. A repeat with the same idempotency key returns the first one's id.
pub(super) async fn schedule(
    outbound: &Outbound,
    compliant: CompliantMessage,
    at: Timestamp,
) -> Result<SendReceipt, Failure> {
    let message = compliant.message;
    let agent = &message.profile.agent;
    // Another time makes another request. A retry has another time and is still the same request.
    let time = (!message.retry_later).then(|| at.timestamp());
    let request_hash = outbound
        .vault
        .request_hash(&agent.org_id, &format!("{} {time:?}", message.request_hash));
    let stored = StoredRequest {
        content: message.content.clone(),
        sender_name: message.sender_name.clone(),
        thread: message.thread.clone(),
        fallbacks: message.fallbacks.clone(),
    };
    let request = stored.seal(&outbound.vault, &agent.org_id, &message.id);
    let new = NewScheduledSend {
        id: &message.id,
        org: &agent.org_id,
        agent: &agent.id,
        channel: message.channel,
        recipient: message.to.as_str(),
        idempotency_key: &message.idempotency_key,
        request_hash: &request_hash,
        request: &request,
        due_at: at,
        tries: 0,
    };
    let is_new = outbound.store.schedule_send(&new, outbound.clock.now()).await?;
    let mut id = message.id.clone();
    if !is_new {
        let found = outbound
            .store
            .find_scheduled(&agent.id, &message.idempotency_key)
            .await?;
        let prior = found.ok_or_else(Failure::internal)?;
        if prior.request_hash != request_hash {
            return Err(idempotency::conflict().on(message.channel));
        }
        if !prior.is_open() {
            return Err(explain(stored_error_code(prior.failure.as_deref()))
                .on(message.channel)
                .detail("failedMessageId", prior.id().as_str()));
        }
        id = prior.id();
    }
    Ok(SendReceipt {
        message: id,
        status: Status::Scheduled,
        channel: message.channel,
        from: message.from.as_str().to_owned(),
        to: message.to.as_str().to_owned(),
        carrier: None,
        carrier_id: None,
        carrier_status: None,
        segments: None,
        cost: None,
        thread: message.thread,
        advice: None,
        instead_of: None,
        scheduled_at: Some(at),
        replayed: !is_new,
    })
}
