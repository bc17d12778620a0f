//! The idempotency stage: a request with a key that was used before returns the result of the first one.

use std::time::Duration;

use butt_dial_domain::{Code, Failure, MessageId, message::Status};
use butt_dial_store::ContactState;

use super::{Outbound, SendReceipt, receipt::describe, validate::ValidMessage};

/// How long a repeat waits for a first request that is still in progress.
pub(super) const REPLAY_TIMEOUT: Duration = Duration::from_secs(2);
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(40);

/// A message with a new idempotency key, and the state of its contact.
pub(super) struct NewMessage {
    pub message: ValidMessage,
    pub contact: ContactState,
}

/// An existing message with the same idempotency key.
pub(super) struct PriorRequest {
    pub id: MessageId,
    /// The hash of the current request. Another hash than the message's is a conflict.
    pub request_hash: String,
}

pub(super) enum Deduplicated {
    New(Box<NewMessage>),
    Prior(PriorRequest),
}

impl PriorRequest {
    pub fn new(id: MessageId, message: &ValidMessage) -> Self {
        Self {
            id,
            request_hash: message.request_hash.clone(),
        }
    }
}

/// Looks up the idempotency key. The same round trip reads the contact state that the compliance stage needs.
pub(super) async fn deduplicate(outbound: &Outbound, message: ValidMessage) -> Result<Deduplicated, Failure> {
    let agent = &message.profile.agent;
    let channel = (&message.sender.id, message.channel);
    let contact = outbound
        .store
        .find_contact_state(
            &agent.org_id,
            &agent.id,
            channel,
            message.to.as_str(),
            &message.idempotency_key,
        )
        .await?;
    Ok(match contact.prior_request {
        Some(id) => Deduplicated::Prior(PriorRequest::new(id, &message)),
        None => {
            let mut message = message;
            // A message to a contact of an open conversation belongs to it, unless the agent names another thread.
            if message.thread.thread_id.is_none() {
                message.thread.thread_id.clone_from(&contact.conversation);
            }
            Deduplicated::New(Box::new(NewMessage { message, contact }))
        }
    })
}

/// Returns the result of the prior request. Waits up to two seconds for one that is still in progress. Fails with
/// `IdempotencyConflict` if the prior request was a different one.
pub(super) async fn replay(outbound: &Outbound, prior: PriorRequest) -> Result<SendReceipt, Failure> {
    let started = tokio::time::Instant::now();
    loop {
        let found = outbound.store.find_message(&prior.id).await?;
        let message = found.ok_or_else(Failure::internal)?;
        if message.request_hash != prior.request_hash {
            return Err(conflict().on(message.channel));
        }
        if message.status != Status::Sending || started.elapsed() >= REPLAY_TIMEOUT {
            return describe(message).map(|receipt| SendReceipt {
                replayed: true,
                ..receipt
            });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Builds the refusal of a key that was used for a different message.
pub(super) fn conflict() -> Failure {
    Failure::new(
        Code::IdempotencyConflict,
        "this idempotencyKey has been used for another message",
    )
    .hint("use a new key for a new message")
}
