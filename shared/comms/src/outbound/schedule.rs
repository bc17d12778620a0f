//! Messages that leave later. Everything is checked when they are asked for, so that an agent learns of its mistakes at once,
//! and again when they leave, through the same pipeline. The id is given at once; the outcome follows as an event.

use std::{collections::BTreeMap, time::Duration};

use butt_dial_domain::{
    Channel, Code, Failure, MessageId,
    clock::Timestamp,
    message::{Status, Template},
};
use butt_dial_store::{NewScheduled, Scheduled, SendResult};
use chrono::TimeDelta;
use futures::StreamExt;

use super::{
    SendRequest,
    announce::announce,
    clear::ClearedMessage,
    follow_up::Kept,
    receipt::{SendReceipt, refusal_code},
    record::explain,
};
use crate::{Comms, identity, store_failure};

/// How far ahead a message may be scheduled.
const FARTHEST: TimeDelta = TimeDelta::days(366);
/// Clocks differ: what was due a moment ago is due now.
const SKEW: TimeDelta = TimeDelta::seconds(60);
/// What is due is looked for in pieces of this size, so many at once.
const BATCH: u32 = 64;
const AT_ONCE: usize = 16;
/// Longer than a send takes: whoever died with it is replaced then, and the idempotency key finds what was done.
const CLAIM: TimeDelta = TimeDelta::seconds(120);
/// Between the tries of a send that a carrier or a limit refused for now.
const RETRY_AFTER: [Duration; 5] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
    Duration::from_secs(1_800),
];

/// Whether the time makes sense; `None`: it is now.
pub fn check_time(at: Timestamp, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let refuse = |text: &str| Err(Failure::new(Code::InvalidArgument, text.to_owned()));
    if at < now - SKEW {
        return refuse("scheduledAt lies in the past");
    }
    if at > now + FARTHEST {
        return refuse("scheduledAt lies more than a year ahead");
    }
    Ok((at > now).then_some(at))
}

/// When something that was refused for now is tried for the second time.
pub fn next_try(now: Timestamp, failure: &Failure) -> Timestamp {
    let asked = failure.retry_after_seconds.map(Duration::from_secs).unwrap_or_default();
    now + TimeDelta::from_std(asked.max(RETRY_AFTER[0])).unwrap_or(FARTHEST)
}

/// Writes it down instead of sending it.
pub async fn schedule(comms: &Comms, cleared: ClearedMessage, at: Timestamp) -> Result<SendReceipt, Failure> {
    let message = cleared.message;
    let agent = &message.profile.agent;
    // Another time is another request, unless it is ours: a repeat of what we are trying already is the same one.
    let time = (!message.keeps_trying).then(|| at.timestamp());
    let request_hash = comms
        .vault
        .request_hash(&agent.org_id, &format!("{} {time:?}", message.request_hash));
    let kept = Kept {
        content: message.content.clone(),
        sender_name: message.sender_name.clone(),
        thread_id: message.thread_id.clone(),
        entity_id: message.entity_id.clone(),
        reply_msg_id: message.reply_msg_id.clone(),
        fallbacks: message.fallbacks.clone(),
    };
    let request = kept.seal(&comms.vault, &agent.org_id, &message.id);
    let new = NewScheduled {
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
    let is_new = comms
        .store
        .schedule_send(&new, comms.clock.now())
        .await
        .map_err(store_failure)?;
    let mut id = message.id.clone();
    if !is_new {
        let found = comms
            .store
            .find_scheduled(&agent.id, &message.idempotency_key)
            .await
            .map_err(store_failure)?;
        let earlier = found.ok_or_else(Failure::internal)?;
        if earlier.request_hash != request_hash {
            return Err(Failure::new(
                Code::IdempotencyConflict,
                "this idempotencyKey has been used for another message",
            )
            .remedy("use a new key for a new message")
            .on(message.channel));
        }
        if earlier.state != "scheduled" {
            let code = earlier
                .failure
                .as_deref()
                .and_then(refusal_code)
                .unwrap_or(Code::ProviderRefused);
            return Err(explain(code)
                .on(message.channel)
                .detail("failedMessageId", earlier.id().as_str()));
        }
        id = earlier.id();
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
        thread_id: message.thread_id,
        entity_id: message.entity_id,
        reply_msg_id: message.reply_msg_id,
        advice: None,
        instead_of: None,
        scheduled_at: Some(at),
        replayed: !is_new,
    })
}

/// Sends at once what has just been written down.
pub fn begin(comms: &Comms) {
    let working = comms.clone();
    comms.tasks.spawn(async move {
        if let Err(failure) = sweep(&working).await {
            tracing::debug!(%failure, "what is due is sent with the next sweep");
        }
    });
}

/// Sends what is due. Returns how many.
pub async fn sweep(comms: &Comms) -> Result<usize, Failure> {
    let now = comms.clock.now();
    let due = comms
        .store
        .claim_scheduled(BATCH, now, now + CLAIM)
        .await
        .map_err(store_failure)?;
    let count = due.len();
    futures::stream::iter(due)
        .for_each_concurrent(AT_ONCE, |scheduled| async move {
            let id = scheduled.id();
            if let Err(failure) = leave(comms, scheduled).await {
                tracing::warn!(%failure, message_id = %id, "a scheduled message has to wait");
            }
        })
        .await;
    Ok(count)
}

async fn leave(comms: &Comms, scheduled: Scheduled) -> Result<(), Failure> {
    let (id, agent) = (scheduled.id(), scheduled.agent());
    if scheduled.state == "cancelled" {
        let code = scheduled
            .failure
            .as_deref()
            .and_then(refusal_code)
            .unwrap_or(Code::ContactOptedOut);
        return close(comms, &scheduled, Some(code)).await;
    }
    let request = match restore(comms, &scheduled).await? {
        Some(request) => request,
        None => return close(comms, &scheduled, Some(Code::Internal)).await,
    };
    match comms.send(request).await {
        Ok(receipt) => {
            if receipt.status == Status::Accepted && !scheduled.is_quiet {
                let result = SendResult::Accepted {
                    carrier_id: receipt.carrier_id.unwrap_or_default(),
                    carrier_status: receipt.carrier_status.unwrap_or_default(),
                    segments: None,
                    cost: 0,
                };
                announce(comms, &agent, &id, receipt.channel, &result)
                    .await
                    .map_err(store_failure)?;
            }
            close(comms, &scheduled, None).await
        }
        Err(failure) if failure.code.is_retryable() => {
            let tried = usize::try_from(scheduled.tries).unwrap_or(usize::MAX).saturating_sub(1);
            match RETRY_AFTER.get(tried) {
                Some(pause) => {
                    let asked = failure.retry_after_seconds.map(Duration::from_secs).unwrap_or_default();
                    let pause = TimeDelta::from_std((*pause).max(asked)).unwrap_or(TimeDelta::hours(1));
                    let at = comms.clock.now() + pause;
                    comms.store.put_off_scheduled(&id, at).await.map_err(store_failure)
                }
                None => close(comms, &scheduled, Some(failure.code)).await,
            }
        }
        Err(failure) => close(comms, &scheduled, Some(failure.code)).await,
    }
}

/// The event first: should we die in between, it is known by its id.
async fn close(comms: &Comms, scheduled: &Scheduled, failure: Option<Code>) -> Result<(), Failure> {
    let (id, agent) = (scheduled.id(), scheduled.agent());
    let channel = Channel::parse(&scheduled.channel).ok_or_else(Failure::internal)?;
    if let Some(code) = failure.filter(|_| scheduled.is_quiet) {
        tracing::info!(message_id = %id, failure = code.as_str(), "what nobody asked for was not sent");
    } else if let Some(code) = failure {
        let result = SendResult::Failed {
            failure: code.as_str(),
            frees_key: false,
        };
        announce(comms, &agent, &id, channel, &result)
            .await
            .map_err(store_failure)?;
    }
    comms
        .store
        .close_scheduled(&id, failure.map(Code::as_str))
        .await
        .map_err(store_failure)
}

/// `None`: it can't be opened, or its agent is gone.
async fn restore(comms: &Comms, scheduled: &Scheduled) -> Result<Option<SendRequest>, Failure> {
    let id = scheduled.id();
    let Some(caller) = identity::on_behalf_of(comms, &scheduled.agent()).await? else {
        return Ok(None);
    };
    let kept = scheduled.request.as_deref().and_then(|sealed| {
        let plain = comms.vault.decrypt(&scheduled.org(), id.as_str(), sealed);
        let plain = plain.inspect_err(|error| tracing::error!(%error, message_id = %id, "a scheduled message is lost"));
        serde_json::from_slice::<Kept>(&plain.ok()?).ok()
    });
    let (Some(kept), Some(channel)) = (kept, Channel::parse(&scheduled.channel)) else {
        return Ok(None);
    };
    let (template_id, template_variables) = match kept.content.template {
        Some(Template { id, variables }) => (Some(id), variables),
        None => (None, BTreeMap::new()),
    };
    Ok(Some(SendRequest {
        // What was refused for now keeps its id; the next try is another message.
        id: (scheduled.tries <= 1).then(|| MessageId::from(id.as_str())),
        body: kept.content.body,
        subject: kept.content.subject,
        html: kept.content.html,
        media: kept.content.media,
        template_id,
        template_variables,
        sender_name: kept.sender_name,
        thread_id: kept.thread_id,
        entity_id: kept.entity_id,
        reply_msg_id: kept.reply_msg_id,
        fallbacks: kept.fallbacks,
        idempotency_key: Some(scheduled.idempotency_key.clone()),
        ..SendRequest::new(caller, channel, &scheduled.recipient)
    }))
}
