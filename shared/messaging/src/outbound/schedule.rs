//! The schedule stage: stores a message that is sent later. Every check has been made by then, so that an agent learns of
//! mistakes at once; they are made again when the message is sent, except for the rate limits: scheduling is the action. The id
//! is assigned at once, the outcome follows as an event.

use butt_dial_billing::TakenQuotas;
use butt_dial_domain::{Channel, Code, Failure, MessageId, clock::Timestamp, message::Status};
use butt_dial_store::{NewApproval, NewScheduledSend, ScheduledCap, ScheduledCaps, ScheduledSend};
use serde_json::json;

use super::{
    Outbound, SendReceipt,
    comply::{self, CompliantMessage},
    deferred::StoredRequest,
    idempotency,
    lookup::CANCELLED,
    refusals::{explain, stored_error_code},
    reserve,
};

/// Stores the message instead of sending it. A repeat with the same idempotency key returns the first one's id.
pub(super) async fn schedule(
    outbound: &Outbound,
    compliant: CompliantMessage,
    at: Timestamp,
) -> Result<SendReceipt, Failure> {
    let message = &compliant.message;
    let agent = &message.profile.agent;
    // Another time makes another request. A retry, and a message that waits by a rule, has another time and is still the same request.
    let has_own_time = !message.retry_later && !compliant.waits_by_rule();
    let time = has_own_time.then(|| at.timestamp());
    let request_hash = outbound
        .vault
        .request_hash(&agent.org_id, &format!("{} {time:?}", message.request_hash));
    let stored = StoredRequest {
        content: message.content.clone(),
        sender_name: message.sender_name.clone(),
        thread: message.thread.clone(),
        fallbacks: message.fallbacks.clone(),
        restriction: message.restriction.as_deref().cloned(),
        colleague: message.colleague.clone(),
        author: Some(comply::author(message).clone()),
        purpose: message.purpose,
        splits: message.splits,
    };
    let key = &message.idempotency_key;
    let prior = outbound.store.find_scheduled(&agent.id, key).await?;
    let (id, is_new) = match prior {
        Some(prior) => (replay(&prior, &request_hash, message.channel)?, false),
        None => {
            let taken = admit(outbound, &compliant).await?;
            let request = stored.seal(&outbound.vault, &agent.org_id, &message.id);
            let new = NewScheduledSend {
                id: &message.id,
                org: &agent.org_id,
                agent: &agent.id,
                channel: message.channel,
                recipient: message.to.as_str(),
                idempotency_key: key,
                request_hash: &request_hash,
                request: &request,
                due_at: at,
                tries: 0,
                is_counted: !message.retry_later,
                approval: compliant.approval.as_ref().map(|approval| NewApproval {
                    rule: &approval.rule,
                    send_at: approval.send_at,
                }),
            };
            store(outbound, &new, &taken).await?
        }
    };
    Ok(SendReceipt {
        message: id,
        status: match compliant.approval {
            Some(_) => Status::Held,
            None => Status::Scheduled,
        },
        channel: message.channel,
        from: message.from.as_str().to_owned(),
        to: message.to.as_str().to_owned(),
        carrier: None,
        carrier_id: None,
        carrier_status: None,
        segments: None,
        cost: None,
        thread: message.thread.clone(),
        advice: compliant.advice(),
        sender_advice: None,
        instead_of: None,
        scheduled_at: match &compliant.approval {
            Some(approval) => approval.send_at,
            None => Some(at),
        },
        parts: Vec::new(),
        replayed: !is_new,
    })
}

/// Checks the limits, the content and the budget of a message that is scheduled. Returns what was taken. A retry of a send
/// has passed them before, and passes them again when it is sent.
async fn admit(outbound: &Outbound, compliant: &CompliantMessage) -> Result<TakenQuotas, Failure> {
    let message = &compliant.message;
    if message.retry_later {
        comply::check_content(outbound, compliant).await?;
        return Ok(TakenQuotas::default());
    }
    let billing = &outbound.billing;
    let limits = reserve::limits_of(outbound, message);
    let actions = message.content.recipients();
    let taken = billing.take_several(&message.profile, &limits, actions).await?;
    if let Err(refusal) = comply::check_content(outbound, compliant).await {
        billing.give_back(&taken).await;
        return Err(refusal);
    }
    // The money itself is reserved when the message is sent.
    let estimate = reserve::estimate(outbound, compliant, None);
    billing
        .check_budget(&message.profile.agent, &limits, estimate)
        .await
        .map_err(|refusal| refusal.on(message.channel))?;
    Ok(taken)
}

/// Stores the send. Returns its id, or that of a concurrent request with the same key, and whether it is new.
async fn store(
    outbound: &Outbound,
    new: &NewScheduledSend<'_>,
    taken: &TakenQuotas,
) -> Result<(MessageId, bool), Failure> {
    let settings = &outbound.settings;
    let caps = ScheduledCaps {
        agent: ScheduledCap {
            count: settings.scheduled_per_agent,
            bytes: settings.scheduled_bytes_per_agent,
        },
        org: ScheduledCap {
            count: settings.scheduled_per_organization,
            bytes: settings.scheduled_bytes_per_organization,
        },
    };
    if outbound.store.schedule_send(new, &caps, outbound.clock.now()).await? {
        return Ok((new.id.clone(), true));
    }
    outbound.billing.give_back(taken).await;
    match outbound.store.find_scheduled(new.agent, new.idempotency_key).await? {
        Some(prior) => Ok((replay(&prior, new.request_hash, new.channel)?, false)),
        None => Err(too_many(&caps).on(new.channel)),
    }
}

/// Returns the id of the prior request with the same key, or why it cannot be repeated.
fn replay(prior: &ScheduledSend, request_hash: &str, channel: Channel) -> Result<MessageId, Failure> {
    if prior.request_hash != request_hash {
        return Err(idempotency::conflict().on(channel));
    }
    if prior.failure.as_deref() == Some(CANCELLED) {
        return Err(Failure::new(
            Code::IdempotencyConflict,
            "the scheduled message with this idempotencyKey was cancelled",
        )
        .hint("use a new key to send it after all")
        .on(channel));
    }
    if !prior.is_open() {
        return Err(explain(stored_error_code(prior.failure.as_deref()))
            .on(channel)
            .detail("failedMessageId", prior.id().as_str()));
    }
    Ok(prior.id())
}

fn too_many(caps: &ScheduledCaps) -> Failure {
    let ScheduledCaps { agent, org } = caps;
    Failure::new(
        Code::RateLimited,
        format!(
            "Limit: an agent may have {} scheduled messages with {} bytes in all, and the agents of an organization {} with {} bytes",
            agent.count, agent.bytes, org.count, org.bytes
        ),
    )
    .hint("cancel scheduled messages, or wait until some have been sent")
    .detail(
        "limit",
        json!({
            "scheduledMessages": agent.count, "scheduledBytes": agent.bytes,
            "scheduledMessagesOfOrganization": org.count, "scheduledBytesOfOrganization": org.bytes,
        }),
    )
}
