//! The schedule stage: stores a message that is sent later. Every check has been made by then, so that an agent learns of
//! mistakes at once; they are made again when the message is sent. The id is assigned at once, the outcome follows as an event.

use std::time::Duration;

use butt_dial_domain::{Code, Failure, clock::Timestamp, message::Status};
use butt_dial_store::NewScheduledSend;
use chrono::TimeDelta;

use super::{
    Outbound, SendReceipt,
    comply::CompliantMessage,
    deferred::StoredRequest,
    idempotency,
    refusals::{explain, stored_error_code},
};

/// How far ahead a message may be scheduled.
const MAX_AHEAD: TimeDelta = TimeDelta::days(366);
/// Clocks differ: a time that passed less than this ago counts as now.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(60);
/// Delays between the attempts of a send that failed with a retryable error.
pub(super) const RETRY_AFTER: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(1_800),
];

/// Checks a requested time. Returns `None` for now. Fails with `InvalidArgument` for a time in the past or more than a year
/// ahead.
pub(super) fn check_time(at: Timestamp, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let refuse = |text: &str| Err(Failure::new(Code::InvalidArgument, text.to_owned()));
    if at < now - CLOCK_SKEW {
        return refuse("scheduledAt is in the past");
    }
    if at > now + MAX_AHEAD {
        return refuse("scheduledAt is more than a year ahead");
    }
    Ok((at > now).then_some(at))
}

/// Returns the time of the second attempt after a retryable failure.
pub(super) fn first_retry_at(now: Timestamp, failure: &Failure) -> Timestamp {
    now + retry_delay(RETRY_AFTER[0], failure)
}

/// Returns the longer of the scheduled delay and the one that the failure asks for.
pub(super) fn retry_delay(scheduled: Duration, failure: &Failure) -> TimeDelta {
    let requested = failure.retry_after_seconds.map(Duration::from_secs).unwrap_or_default();
    TimeDelta::from_std(requested.max(scheduled)).unwrap_or(MAX_AHEAD)
}

/// Stores the message instead of sending it. A repeat with the same idempotency key returns the first one's id.
pub(super) async fn schedule(
    outbound: &Outbound,
    compliant: CompliantMessage,
    at: Timestamp,
) -> Result<SendReceipt, Failure> {
    let message = compliant.message;
    let agent = &message.profile.agent;
    // Another time makes another request. A retry has a time of its own and is still the same request.
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
