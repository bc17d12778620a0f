//! The delivery worker of an agent: pushes to a live listener, else calls the agent's callback, else leaves the events waiting.
//!
//! One worker per agent, by a claim in the database, keeps events in order. Events that arrive while it works are noticed before
//! it gives the claim back.

use std::{ops::ControlFlow, sync::Arc, time::Duration};

use butt_dial_domain::{AgentId, Channel, Failure, OrgId, client_stream::PushOutcome, clock::Timestamp};
use butt_dial_store::{AgentEvent, DeliveryClaim, EventReason, NewCallbackAttempt, Recipient, StoreError};
use chrono::TimeDelta;
use tokio::time::Instant;
use tracing::Instrument;

use super::{
    Delivery,
    callback::{CallbackRequest, CallbackResult},
    claim::{DELIVERY_LEASE, ensure_claim, lease_events, while_claimed},
    listeners::{Listener, ReachedSessions},
    push::PushBatch,
};
use crate::tainted_texts;

/// Events in one push.
const PUSH_BATCH: u32 = 48;
/// How long confirming a delivered event is retried.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(25);
const CONFIRM_INTERVAL: Duration = Duration::from_millis(100);
/// A listener does not refuse events, so pushes have no limit of attempts.
const UNLIMITED_TRIES: Option<i64> = None;
/// Consecutive refusals after which the callback pauses.
const MAX_CONSECUTIVE_FAILURES: u32 = 3;
/// Agents of one sweep.
const SWEEP_SIZE: u32 = 64;
const DEFAULT_RETRY_DELAY: Duration = Duration::from_secs(60);

/// How a delivery run ended.
enum RunEnd {
    /// No event is left to deliver now. `checked_at`: when that was seen; `None` if the agent has no callback.
    Done { checked_at: Option<Timestamp> },
    /// The callback does not answer: try again after a delay.
    RetryAfter { delay: Duration, failures: i64 },
    /// The process is stopping; another one continues.
    Stopping { failures: i64 },
    /// The claim was lost.
    ClaimLost,
}

impl Delivery {
    /// Starts a worker with a claim that this process holds.
    pub fn spawn_worker(self: &Arc<Self>, claim: DeliveryClaim) {
        let delivery = self.clone();
        let span = tracing::debug_span!("deliver", otel.kind = "consumer", agent = %claim.agent());
        self.tasks
            .spawn(async move { run_worker(&delivery, claim).await }.instrument(span));
    }

    /// Starts a worker for the agent unless one runs. A running worker, here or elsewhere, notices new events.
    pub fn wake(self: &Arc<Self>, agent: AgentId) {
        let delivery = self.clone();
        self.tasks.spawn(async move {
            let now = delivery.clock.now();
            let holder = delivery.replica.as_str();
            let claimed = delivery
                .store
                .claim_free_delivery(&agent, holder, now, now + DELIVERY_LEASE);
            match claimed.await {
                Ok(Some(claim)) => delivery.spawn_worker(claim),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "delivery not started"),
            }
        });
    }

    /// Claims the deliveries that are due and have no worker, until none is left. Returns how many agents were claimed.
    pub async fn deliver_due(self: &Arc<Self>) -> Result<usize, Failure> {
        let mut claimed = 0;
        loop {
            let count = self.deliver_batch().await?;
            claimed += count;
            if count < SWEEP_SIZE as usize {
                return Ok(claimed);
            }
        }
    }

    async fn deliver_batch(self: &Arc<Self>) -> Result<usize, Failure> {
        let now = self.clock.now();
        let claims = self
            .store
            .claim_due_deliveries(self.replica.as_str(), SWEEP_SIZE, now, now + DELIVERY_LEASE)
            .await?;
        let count = claims.len();
        for claim in claims {
            self.spawn_worker(claim);
        }
        Ok(count)
    }
}

async fn run_worker(delivery: &Delivery, mut claim: DeliveryClaim) {
    loop {
        match run_once(delivery, &mut claim).await {
            Ok(true) => {}
            Ok(false) => return,
            // The next sweep continues once the claim has expired.
            Err(error) => return tracing::warn!(%error, "delivery stopped"),
        }
    }
}

/// Delivers what is pending. Returns true if new events arrived meanwhile and the claim is still held.
async fn run_once(delivery: &Delivery, claim: &mut DeliveryClaim) -> Result<bool, StoreError> {
    let (store, holder) = (&delivery.store, delivery.replica.as_str());
    let end = deliver_pending(delivery, claim).await?;
    let now = delivery.clock.now();
    let (due_at, failures, checked_at) = match end {
        RunEnd::ClaimLost => return Ok(false),
        RunEnd::Done { checked_at } => (None, 0, checked_at),
        RunEnd::RetryAfter { delay, failures } => (Some(add(now, delay)), failures, None),
        RunEnd::Stopping { failures } => (Some(now), failures, None),
    };
    if store
        .finish_delivery(claim, holder, due_at, failures, checked_at)
        .await?
    {
        return Ok(false);
    }
    if matches!(end, RunEnd::Stopping { .. }) {
        store.release_delivery(claim, holder).await?;
        return Ok(false);
    }
    let Some(reclaimed) = store.reclaim_delivery(claim, holder, now + DELIVERY_LEASE).await? else {
        return Ok(false);
    };
    *claim = reclaimed;
    // A callback that answered in this run has no failures, although that was not persisted.
    claim.failures = claim.failures.min(failures);
    Ok(true)
}

/// Tries every live listener, then the callback.
async fn deliver_pending(delivery: &Delivery, claim: &mut DeliveryClaim) -> Result<RunEnd, StoreError> {
    let agent = claim.agent();
    let (recipient, listeners) = tokio::join!(
        delivery.store.find_recipient(&agent),
        delivery.find_live_listeners(&agent)
    );
    let Some(recipient) = recipient? else {
        return Ok(RunEnd::Done { checked_at: None });
    };
    // Without the registry the callback still works.
    let listeners = listeners.unwrap_or_else(|error| {
        tracing::warn!(%error, "listener registry unavailable");
        Vec::new()
    });
    let mut reached = ReachedSessions::default();
    for listener in &listeners {
        if reached.contains(listener) {
            continue;
        }
        match push_pending(delivery, claim, (&recipient.org(), &recipient.display_name), listener).await? {
            ControlFlow::Break(end) => return Ok(end),
            ControlFlow::Continue(outcome) => reached.record(listener, outcome),
        }
    }
    call_back_pending(delivery, claim).await
}

/// Pushes all pending events to a listener. Returns `None` if the listener does not answer.
async fn push_pending(
    delivery: &Delivery,
    claim: &mut DeliveryClaim,
    recipient: (&OrgId, &str),
    listener: &Listener,
) -> Result<ControlFlow<RunEnd, PushOutcome>, StoreError> {
    let (store, agent) = (&delivery.store, claim.agent());
    loop {
        if delivery.tasks.is_closed() {
            let failures = claim.failures;
            return Ok(ControlFlow::Break(RunEnd::Stopping { failures }));
        }
        if !ensure_claim(delivery, claim).await? {
            return Ok(ControlFlow::Break(RunEnd::ClaimLost));
        }
        let now = delivery.clock.now();
        let events = lease_events(delivery, &agent, None, UNLIMITED_TRIES, PUSH_BATCH).await?;
        if events.is_empty() {
            return Ok(ControlFlow::Break(RunEnd::Done { checked_at: Some(now) }));
        }
        let batch = PushBatch::encode(delivery, recipient, &events);
        let (pushed, left) = events.split_at(batch.texts.len());
        if !left.is_empty() {
            store
                .release_events(&agent, &seqs(left), EventReason::AgentOffline, false)
                .await?;
        }
        if batch.is_tainted {
            tainted_texts::note(store, (recipient.0, &agent), now).await?;
        }
        let pushing = delivery.push(listener, batch.texts);
        let outcome = while_claimed(delivery, claim, &seqs(pushed), pushing).await;
        if outcome != PushOutcome::Confirmed {
            store
                .release_events(&agent, &seqs(pushed), EventReason::AgentOffline, false)
                .await?;
            delivery.metrics.record_delivery("live", "unconfirmed", pushed.len());
            return Ok(ControlFlow::Continue(outcome));
        }
        confirm(delivery, &agent, &batch.whole).await?;
        delivery.metrics.record_delivery("live", "delivered", batch.whole.len());
        if !batch.truncated.is_empty() {
            store
                .release_events(&agent, &batch.truncated, EventReason::TooLargeToPush, false)
                .await?;
            delivery
                .metrics
                .record_delivery("live", "truncated", batch.truncated.len());
        }
        // These were all. `finish_delivery` refuses if more arrived since `now`.
        if left.is_empty() && events.len() < PUSH_BATCH as usize {
            return Ok(ControlFlow::Break(RunEnd::Done { checked_at: Some(now) }));
        }
    }
}

/// Calls the callback with one event at a time, so that no lease outlasts a call and the agent's current settings apply.
async fn call_back_pending(delivery: &Delivery, claim: &mut DeliveryClaim) -> Result<RunEnd, StoreError> {
    let (store, agent) = (&delivery.store, claim.agent());
    let schedule = &delivery.callback_retry_after;
    let max_tries = i64::try_from(schedule.len()).unwrap_or(i64::MAX).saturating_add(1);
    let mut failures = claim.failures;
    let mut consecutive_failures = 0;
    loop {
        if delivery.tasks.is_closed() {
            return Ok(RunEnd::Stopping { failures });
        }
        let Some(recipient) = store.find_recipient(&agent).await? else {
            return Ok(RunEnd::Done { checked_at: None });
        };
        let channel = match (&recipient.callback_url, &recipient.voice_callback_url) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(Channel::Voice),
            (None, None) => return Ok(RunEnd::Done { checked_at: None }),
        };
        // A slow callback may take longer than the claim lasts.
        if !ensure_claim(delivery, claim).await? {
            return Ok(RunEnd::ClaimLost);
        }
        let now = delivery.clock.now();
        let events = lease_events(delivery, &agent, channel, Some(max_tries), 1).await?;
        let Some(event) = events.first() else {
            return Ok(RunEnd::Done { checked_at: Some(now) });
        };
        let Some(url) = recipient.callback_for(event.channel.as_deref()) else {
            return Ok(RunEnd::Done { checked_at: None });
        };
        let calling = delivery.call_back(&recipient, url, event);
        let request = while_claimed(delivery, claim, &[event.seq], calling).await;
        delivery.metrics.record_delivery("callback", request.result.label(), 1);
        let retry_at = match request.result {
            CallbackResult::Failed { retry_after } => {
                let tries = usize::try_from(event.tries).unwrap_or(usize::MAX);
                let requested = retry_after.unwrap_or_default();
                let delay = schedule.get(tries).map(|delay| with_jitter(*delay).max(requested));
                delay.map(|delay| add(now, delay))
            }
            CallbackResult::Delivered | CallbackResult::Gone => None,
        };
        let noting = note_attempt(delivery, &recipient, event, &request, retry_at, now);
        match request.result {
            CallbackResult::Delivered => {
                let delivered = [event.seq];
                let (confirmed, ()) = tokio::join!(confirm(delivery, &agent, &delivered), noting);
                confirmed?;
                (failures, consecutive_failures) = (0, 0);
            }
            CallbackResult::Gone => {
                noting.await;
                if store.remove_callback_url(&agent, url).await? {
                    tracing::warn!(%agent, "callback removed: it answered 410 Gone");
                }
                store
                    .release_events(&agent, &[event.seq], EventReason::CallbackFailed, false)
                    .await?;
            }
            CallbackResult::Failed { retry_after } => {
                noting.await;
                let requested = retry_after.unwrap_or_default();
                store
                    .reschedule_event(&agent, event.seq, EventReason::CallbackFailed, retry_at)
                    .await?;
                tracing::info!(%agent, event = event.id, tries = event.tries + 1, "callback failed");
                consecutive_failures += 1;
                // One event that the host refuses must not stop the others; a host that refuses every event is left alone.
                if consecutive_failures >= MAX_CONSECUTIVE_FAILURES || retry_after.is_some() {
                    let step = usize::try_from(failures).unwrap_or(usize::MAX);
                    let delay = schedule.get(step).or(schedule.last()).copied();
                    let delay = with_jitter(delay.unwrap_or(DEFAULT_RETRY_DELAY)).max(requested);
                    failures = failures.saturating_add(1);
                    return Ok(RunEnd::RetryAfter { delay, failures });
                }
            }
        }
    }
}

/// Stores the result of a request. The delivery does not depend on it.
async fn note_attempt(
    delivery: &Delivery,
    recipient: &Recipient,
    event: &AgentEvent,
    request: &CallbackRequest,
    retry_at: Option<Timestamp>,
    at: Timestamp,
) {
    let (org, agent) = (recipient.org(), recipient.agent());
    let attempt = NewCallbackAttempt {
        org: &org,
        agent: &agent,
        event: &event.id,
        kind: &event.kind,
        outcome: request.result.label(),
        status: request.status,
        error: request.error.as_deref(),
        milliseconds: request.milliseconds,
        retry_at,
        at,
        is_repeated: event.tries > 0,
    };
    if let Err(error) = delivery.store.add_callback_attempt(&attempt).await {
        tracing::warn!(%error, "request to a callback not noted");
    }
}

fn add(now: Timestamp, delay: Duration) -> Timestamp {
    now + TimeDelta::from_std(delay).unwrap_or(TimeDelta::hours(1))
}

/// Marks events as delivered, and retries while the database is unavailable: the agent must not get them twice. A claim that
/// expires meanwhile does no harm, because without the database no other worker finds the events.
async fn confirm(delivery: &Delivery, agent: &AgentId, seqs: &[i64]) -> Result<(), StoreError> {
    let started = Instant::now();
    loop {
        let confirmed = delivery
            .store
            .confirm_events(agent, seqs, true, delivery.clock.now())
            .await;
        match confirmed {
            Err(error)
                if error.is_unavailable() && started.elapsed() < CONFIRM_TIMEOUT && !delivery.tasks.is_closed() =>
            {
                tracing::debug!(%error, "confirmation of delivered events retried");
                tokio::time::sleep(CONFIRM_INTERVAL).await;
            }
            result => return result.map(drop),
        }
    }
}

/// Varies a delay by up to a fifth, so that deliveries that failed together are not retried together.
fn with_jitter(delay: Duration) -> Duration {
    delay.mul_f64(rand::random_range(0.8..1.2))
}

fn seqs(events: &[AgentEvent]) -> Vec<i64> {
    events.iter().map(|event| event.seq).collect()
}
