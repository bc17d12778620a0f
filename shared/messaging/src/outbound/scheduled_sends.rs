//! Sends what is due: scheduled messages, retries and follow-ups, through the same pipeline as every message.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use butt_dial_domain::{
    Channel, Code, Failure, MessageId,
    message::{Status, Template},
};
use butt_dial_identity::on_behalf_of;
use butt_dial_store::{ApprovalState, ScheduledSend, ScheduledState, SendResult};
use chrono::TimeDelta;
use futures::{StreamExt, stream::FuturesUnordered};
use tracing::Instrument;

use super::{
    Allowance, Outbound, SendReceipt, SendRequest,
    deferred::StoredRequest,
    refusals::parse_error_code,
    send_time::{RETRY_AFTER, retry_delay},
    status_event::{tell, tell_unsent},
};

/// Sends of one claim.
const BATCH: u32 = 128;
/// Sends at the same time.
const CONCURRENCY: usize = 64;
/// Longer than a send takes. After a crash another process claims the send, and its idempotency key finds what was done.
const CLAIM: TimeDelta = TimeDelta::seconds(120);

impl Outbound {
    /// Starts a sweep in the background, for sends that were just written.
    pub fn spawn_sweep(self: &Arc<Self>) {
        let outbound = self.clone();
        self.tasks.spawn(async move {
            if let Err(failure) = outbound.send_due().await {
                tracing::debug!(%failure, "sweep of scheduled sends failed; the next one repeats it");
            }
        });
    }

    /// Sends what is due, until nothing is. The next sends are claimed when the former ones have begun, and agents take turns
    /// in each claim. Returns how many sends were claimed.
    pub async fn send_due(self: &Arc<Self>) -> Result<usize, Failure> {
        let (mut claimed, mut running) = (VecDeque::new(), FuturesUnordered::new());
        let (mut count, mut has_more) = (0, true);
        loop {
            if claimed.is_empty() && has_more {
                let now = self.clock.now();
                let due = self.store.claim_scheduled(BATCH, now, now + CLAIM).await?;
                has_more = due.len() >= BATCH as usize && !self.tasks.is_closed();
                count += due.len();
                claimed.extend(due);
            }
            while running.len() < CONCURRENCY
                && let Some(scheduled) = claimed.pop_front()
            {
                running.push(self.tasks.spawn(send_or_log(self.clone(), scheduled).in_current_span()));
            }
            if running.next().await.is_none() && claimed.is_empty() && !has_more {
                return Ok(count);
            }
        }
    }
}

async fn send_or_log(outbound: Arc<Outbound>, scheduled: ScheduledSend) {
    let id = scheduled.id();
    if let Err(failure) = send_scheduled(&outbound, scheduled).await {
        tracing::warn!(%failure, message_id = %id, "scheduled send failed; it stays due");
    }
}

async fn send_scheduled(outbound: &Arc<Outbound>, scheduled: ScheduledSend) -> Result<(), Failure> {
    if scheduled.state == ScheduledState::Cancelled {
        let code = scheduled.failure.as_deref().and_then(parse_error_code);
        return close(outbound, &scheduled, Some(code.unwrap_or(Code::ContactOptedOut))).await;
    }
    if scheduled.is_held() {
        return close(outbound, &scheduled, Some(Code::ApprovalExpired)).await;
    }
    let Some(request) = restore(outbound, &scheduled).await? else {
        return close(outbound, &scheduled, Some(Code::Internal)).await;
    };
    match outbound.send(request).await {
        Ok(receipt) => {
            if receipt.status == Status::Accepted && !scheduled.is_quiet {
                append_accepted_event(outbound, &scheduled, receipt).await?;
            }
            close(outbound, &scheduled, None).await
        }
        // The rules have changed since it was scheduled, or it is late. It waits as long as they say.
        // A restraint of its agent ends as well.
        Err(failure) if failure.code == Code::OutsideAllowedHours || is_restrained(&failure) => {
            let at = outbound.clock.now() + retry_delay(RETRY_AFTER[0], &failure);
            Ok(outbound.store.reschedule_send(&scheduled.id(), at).await?)
        }
        // An automatic reply that exceeds its limit is not worth a retry.
        Err(failure) if failure.is_retryable() && !(scheduled.is_quiet && failure.code == Code::RateLimited) => {
            let attempts = usize::try_from(scheduled.tries).unwrap_or(usize::MAX);
            match RETRY_AFTER.get(attempts.saturating_sub(1)) {
                Some(delay) => {
                    let at = outbound.clock.now() + retry_delay(*delay, &failure);
                    Ok(outbound.store.reschedule_send(&scheduled.id(), at).await?)
                }
                None => close(outbound, &scheduled, Some(failure.code)).await,
            }
        }
        Err(failure) => close(outbound, &scheduled, Some(failure.code)).await,
    }
}

/// Returns whether the message needs an approval for a time only.
fn is_restrained(failure: &Failure) -> bool {
    failure.code == Code::ApprovalRequired && failure.retry_after_seconds.is_some()
}

async fn append_accepted_event(
    outbound: &Outbound,
    scheduled: &ScheduledSend,
    receipt: SendReceipt,
) -> Result<(), Failure> {
    let result = SendResult::Accepted {
        carrier_id: receipt.carrier_id.unwrap_or_default(),
        carrier_status: receipt.carrier_status.unwrap_or_default(),
        segments: None,
        cost: 0,
    };
    let (id, agent) = (scheduled.id(), scheduled.agent());
    Ok(tell(outbound, &agent, (&id, &receipt.message), receipt.channel, &result).await?)
}

/// Closes a scheduled send. The event is written first: after a crash in between it is recognized by its id.
async fn close(outbound: &Outbound, scheduled: &ScheduledSend, failure: Option<Code>) -> Result<(), Failure> {
    let (id, agent) = (scheduled.id(), scheduled.agent());
    let channel = Channel::parse(&scheduled.channel).ok_or_else(Failure::internal)?;
    if let Some(code) = failure.filter(|_| scheduled.is_quiet) {
        tracing::info!(message_id = %id, failure = code.as_str(), "automatic reply dropped");
    } else if let Some(code) = failure {
        tell_unsent(outbound, &agent, &id, channel, code).await?;
    }
    Ok(outbound.store.close_scheduled(&id, failure.map(Code::as_str)).await?)
}

/// Rebuilds the request. `None`: it cannot be decrypted, or its agent no longer exists.
async fn restore(outbound: &Outbound, scheduled: &ScheduledSend) -> Result<Option<SendRequest>, Failure> {
    let id = scheduled.id();
    let Some(caller) = on_behalf_of(&outbound.store, &scheduled.agent()).await? else {
        return Ok(None);
    };
    let stored = scheduled.request.as_deref().and_then(|sealed| {
        let plain = outbound.vault.decrypt(&scheduled.org(), id.as_str(), sealed);
        let plain =
            plain.inspect_err(|error| tracing::error!(%error, message_id = %id, "scheduled send not decrypted"));
        serde_json::from_slice::<StoredRequest>(&plain.ok()?).ok()
    });
    let (Some(stored), Some(channel)) = (stored, Channel::parse(&scheduled.channel)) else {
        return Ok(None);
    };
    let caller = match stored.restriction {
        Some(restriction) => Arc::new(caller.restricted(Arc::new(restriction))),
        None => caller,
    };
    let (template_id, template_variables) = match stored.content.template {
        Some(Template { id, variables, .. }) => (Some(id), variables),
        None => (None, BTreeMap::new()),
    };
    Ok(Some(SendRequest {
        // The first attempt keeps the id; a retry is another message.
        id: (scheduled.tries <= 1).then(|| MessageId::from(id.as_str())),
        body: stored.content.body,
        subject: stored.content.subject,
        html: stored.content.html,
        mail: stored.content.mail.map(|mail| (*mail).into()).unwrap_or_default(),
        media: stored.content.media,
        template_id,
        template_variables,
        sender_name: stored.sender_name,
        thread: stored.thread,
        fallbacks: stored.fallbacks,
        colleague: stored.colleague,
        author: stored.author,
        purpose: stored.purpose,
        splits: stored.splits,
        is_approved: scheduled.approval == Some(ApprovalState::Approved),
        idempotency_key: Some(scheduled.idempotency_key.clone()),
        allowance: match (scheduled.is_quiet, scheduled.is_counted) {
            (true, _) => Allowance::Automatic,
            (false, true) => Allowance::Taken,
            (false, false) => Allowance::Agent,
        },
        ..SendRequest::new(caller, channel, &scheduled.recipient)
    }))
}
