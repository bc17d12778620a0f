//! The ladder: a live listener, else the agent's callback, else the event waits. One climber an agent, so that what a
//! person wrote first arrives first; whatever happens meanwhile is noticed before the climber goes.

use std::time::Duration;

use butt_dial_domain::{AgentId, Failure, OrgId};
use butt_dial_store::{DeliveryClaim, Event, Hold, Recipient, StoreError};
use chrono::TimeDelta;
use tracing::Instrument;

use super::{callback, listeners, live, view::view};
use crate::{Comms, inbound::record::HOLD, store_failure};

/// Why an event waits, in the words of the wire.
pub const AGENT_OFFLINE: &str = "agent_offline";
pub const CALLBACK_FAILED: &str = "callback_failed";

/// Events in one push.
const PUSH: u32 = 48;
/// Events that are held while the callback is called with one after the other.
const CALLS: u32 = 16;
/// For a listener: refused by nobody, so tried without end.
const NO_LIMIT: Option<i64> = None;
/// How many agents one sweep takes.
const SWEEP: u32 = 64;

/// How a climb ended.
enum End {
    /// Nothing is left that could go anywhere now.
    Done,
    /// The callback does not answer: again after a while.
    Later { after: Duration, failures: i64 },
    /// The claim was lost.
    Lost,
}

/// Delivers to an agent that this process has the right to deliver to, and does not yet.
pub fn begin(comms: &Comms, agent: AgentId) {
    start(comms, agent, true);
}

/// Delivers to an agent if nobody does. Whoever is at it, this process too, notices what came: two would overtake each other.
pub fn wake(comms: &Comms, agent: AgentId) {
    start(comms, agent, false);
}

fn start(comms: &Comms, agent: AgentId, is_ours: bool) {
    let working = comms.clone();
    let span = tracing::debug_span!("deliver", agent = %agent);
    comms.tasks.spawn(
        async move {
            let (store, now) = (&working.store, working.clock.now());
            let holder = working.replica.as_str();
            let claimed = if is_ours {
                store.claim_delivery(&agent, holder, now, now + HOLD).await
            } else {
                store.claim_free_delivery(&agent, holder, now, now + HOLD).await
            };
            match claimed {
                Ok(Some(claim)) => deliver(&working, claim).await,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "a delivery can't begin yet"),
            }
        }
        .instrument(span),
    );
}

/// Takes over what is due and nobody does. Returns how many agents.
pub async fn sweep(comms: &Comms) -> Result<usize, Failure> {
    let now = comms.clock.now();
    let claims = comms
        .store
        .claim_due_deliveries(comms.replica.as_str(), SWEEP, now, now + HOLD)
        .await;
    let claims = claims.map_err(store_failure)?;
    let count = claims.len();
    for claim in claims {
        let working = comms.clone();
        let span = tracing::debug_span!("deliver", agent = %claim.agent());
        comms
            .tasks
            .spawn(async move { deliver(&working, claim).await }.instrument(span));
    }
    Ok(count)
}

async fn deliver(comms: &Comms, mut claim: DeliveryClaim) {
    let (agent, holder) = (claim.agent(), comms.replica.as_str());
    loop {
        let end = match climb(comms, &claim).await {
            Ok(end) => end,
            // Whoever sweeps takes over once the claim has run out.
            Err(error) => return tracing::warn!(%error, "a delivery stopped"),
        };
        let (due_at, failures) = match end {
            End::Lost => return,
            End::Done => (None, 0),
            End::Later { after, failures } => {
                let after = TimeDelta::from_std(after).unwrap_or(TimeDelta::hours(1));
                (Some(comms.clock.now() + after), failures)
            }
        };
        match comms.store.finish_delivery(&claim, holder, due_at, failures).await {
            Ok(true) => return,
            // Something has come meanwhile, or the claim is somebody else's by now.
            Ok(false) => {
                let now = comms.clock.now();
                match comms.store.claim_delivery(&agent, holder, now, now + HOLD).await {
                    Ok(Some(again)) => claim = again,
                    Ok(None) => return,
                    Err(error) => return tracing::warn!(%error, "a delivery stopped"),
                }
            }
            Err(error) => return tracing::warn!(%error, "a delivery stopped"),
        }
    }
}

async fn climb(comms: &Comms, claim: &DeliveryClaim) -> Result<End, StoreError> {
    let agent = claim.agent();
    let Some(recipient) = comms.store.find_recipient(&agent).await? else {
        return Ok(End::Done);
    };
    // A registry that does not answer knows of no listener: the callback is still there.
    let listening = listeners::find_live(comms, &agent).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "nobody knows who listens");
        Vec::new()
    });
    for listener in &listening {
        match push_all(comms, &agent, &recipient.org(), listener).await? {
            Pushed::All => return Ok(End::Done),
            Pushed::Gone => {}
            Pushed::Lost => return Ok(End::Lost),
        }
    }
    match &recipient.callback_url {
        Some(url) => call_all(comms, claim, &recipient, url).await,
        None => Ok(End::Done),
    }
}

enum Pushed {
    All,
    Gone,
    Lost,
}

async fn push_all(
    comms: &Comms,
    agent: &AgentId,
    org: &OrgId,
    listener: &listeners::Listener,
) -> Result<Pushed, StoreError> {
    loop {
        let now = comms.clock.now();
        let events = comms
            .store
            .hold_waiting_events(
                agent,
                &Hold {
                    channel: None,
                    max_tries: NO_LIMIT,
                    to_push: true,
                    limit: PUSH,
                    now,
                    until: now + HOLD,
                },
            )
            .await?;
        if events.is_empty() {
            return Ok(Pushed::All);
        }
        // What does not fit into one push is handed back, and comes with the next.
        let mut messages = Vec::new();
        let mut size = 0;
        for event in &events {
            let message = live::notification(&view(comms, org, event));
            size += message.len();
            if !messages.is_empty() && size > live::MAX_PUSH {
                break;
            }
            messages.push(message);
        }
        let (pushed, left) = events.split_at(messages.len());
        if !left.is_empty() {
            comms
                .store
                .release_events(agent, &seqs(left), AGENT_OFFLINE, false)
                .await?;
        }
        if !live::push(comms, listener, messages).await {
            comms
                .store
                .release_events(agent, &seqs(pushed), AGENT_OFFLINE, false)
                .await?;
            comms.metrics.delivery("live", "unconfirmed", pushed.len());
            return Ok(Pushed::Gone);
        }
        comms
            .store
            .confirm_events(agent, &seqs(pushed), comms.clock.now())
            .await?;
        comms.metrics.delivery("live", "delivered", pushed.len());
        if !comms
            .store
            .renew_delivery(agent, comms.replica.as_str(), comms.clock.now() + HOLD)
            .await?
        {
            return Ok(Pushed::Lost);
        }
    }
}

async fn call_all(comms: &Comms, claim: &DeliveryClaim, recipient: &Recipient, url: &str) -> Result<End, StoreError> {
    let (agent, org) = (claim.agent(), recipient.org());
    let schedule = &comms.settings.callback_retry_after;
    let max_tries = i64::try_from(schedule.len()).unwrap_or(i64::MAX).saturating_add(1);
    let mut failures = claim.failures;
    loop {
        let now = comms.clock.now();
        let events = comms
            .store
            .hold_waiting_events(
                &agent,
                &Hold {
                    channel: None,
                    max_tries: Some(max_tries),
                    to_push: true,
                    limit: CALLS,
                    now,
                    until: now + HOLD,
                },
            )
            .await?;
        if events.is_empty() {
            return Ok(End::Done);
        }
        for (index, event) in events.iter().enumerate() {
            // A slow callback may take longer than the claim lasts.
            if !comms
                .store
                .renew_delivery(&agent, comms.replica.as_str(), comms.clock.now() + HOLD)
                .await?
            {
                comms
                    .store
                    .release_events(&agent, &seqs(&events[index..]), &event.reason, false)
                    .await?;
                return Ok(End::Lost);
            }
            let answer = callback::call(comms, &org, recipient, url, event).await;
            comms.metrics.delivery("callback", answer.word(), 1);
            match answer {
                callback::Answer::Taken => {
                    comms
                        .store
                        .confirm_events(&agent, &[event.seq], comms.clock.now())
                        .await?;
                    failures = 0;
                }
                callback::Answer::Gone => {
                    tracing::warn!(%agent, "a callback says that it is gone for good, and is removed");
                    comms.store.set_callback_url(&agent, None).await?;
                    comms
                        .store
                        .release_events(&agent, &seqs(&events[index..]), CALLBACK_FAILED, false)
                        .await?;
                    return Ok(End::Done);
                }
                callback::Answer::Failed { retry_after } => {
                    comms
                        .store
                        .release_events(&agent, &[event.seq], CALLBACK_FAILED, true)
                        .await?;
                    comms
                        .store
                        .release_events(&agent, &seqs(&events[index + 1..]), AGENT_OFFLINE, false)
                        .await?;
                    let step = usize::try_from(failures).unwrap_or(usize::MAX);
                    let after = schedule
                        .get(step)
                        .or(schedule.last())
                        .copied()
                        .unwrap_or(Duration::from_secs(60));
                    let after = retry_after.map_or(jittered(after), |asked| asked.max(after));
                    tracing::info!(%agent, event = event.id, seconds = after.as_secs(), "a callback failed");
                    failures = failures.saturating_add(1);
                    return Ok(End::Later { after, failures });
                }
            }
        }
    }
}

/// Up to a fifth more or less, so that those that failed together do not come back together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::random_range(0.8..1.2))
}

fn seqs(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.seq).collect()
}
