//! The ladder: a live listener, else the agent's callback, else the event waits. One climber an agent, so that what a
//! person wrote first arrives first; whatever happens meanwhile is noticed before the climber goes.

use std::time::{Duration, Instant};

use butt_dial_domain::{AgentId, Channel, Failure, OrgId, clock::Timestamp};
use butt_dial_store::{DeliveryClaim, Event, Hold, StoreError};
use chrono::TimeDelta;
use tracing::Instrument;

use super::{callback, listeners, live, view::view};
use crate::{Comms, inbound::record::HOLD, store_failure};

/// Why an event waits, in the words of the wire.
pub const AGENT_OFFLINE: &str = "agent_offline";
pub const CALLBACK_FAILED: &str = "callback_failed";
/// Listeners were told that there is such an event, no more. The store knows this word: no listener is pushed it again, it
/// is there for who asks, and for a callback.
pub const TOO_LARGE_TO_PUSH: &str = "too_large_to_push";

/// Events in one push.
const PUSH: u32 = 48;
/// A claim that lasts less than this is prolonged before the next call or push: longer than either takes.
const AT_LEAST: TimeDelta = TimeDelta::seconds(20);
/// How long it is tried to write down that an agent has something, and how often.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(25);
const CONFIRM_PAUSE: Duration = Duration::from_millis(100);
/// For a listener: refused by nobody, so tried without end.
const NO_LIMIT: Option<i64> = None;
/// Events that a callback refuses one after the other before it counts as broken.
const GIVE_UP_AFTER: u32 = 3;
/// How many agents one sweep takes.
const SWEEP: u32 = 64;

/// How a climb ended.
enum End {
    /// Nothing is left that could go anywhere now. `looked_at`: when that was seen; `None` when there is nowhere to go.
    Done { looked_at: Option<Timestamp> },
    /// The callback does not answer: again after a while.
    Later { after: Duration, failures: i64 },
    /// This process is being ended: somebody else goes on.
    Stopping { failures: i64 },
    /// The claim was lost.
    Lost,
}

/// Delivers to an agent that this process has the right to deliver to.
pub fn begin(comms: &Comms, claim: DeliveryClaim) {
    let working = comms.clone();
    let span = tracing::debug_span!("deliver", agent = %claim.agent());
    comms
        .tasks
        .spawn(async move { deliver(&working, claim).await }.instrument(span));
}

/// Delivers to an agent if nobody does. Whoever is at it, this process too, notices what came: two would overtake each other.
pub fn wake(comms: &Comms, agent: AgentId) {
    let working = comms.clone();
    comms.tasks.spawn(async move {
        let (store, now) = (&working.store, working.clock.now());
        let holder = working.replica.as_str();
        match store.claim_free_delivery(&agent, holder, now, now + HOLD).await {
            Ok(Some(claim)) => begin(&working, claim),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "a delivery can't begin yet"),
        }
    });
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
        begin(comms, claim);
    }
    Ok(count)
}

async fn deliver(comms: &Comms, mut claim: DeliveryClaim) {
    loop {
        match climb_once(comms, &mut claim).await {
            Ok(true) => {}
            Ok(false) => return,
            // Whoever sweeps takes over once the claim has run out.
            Err(error) => return tracing::warn!(%error, "a delivery stopped"),
        }
    }
}

/// True when something has happened meanwhile, and the claim is still ours.
async fn climb_once(comms: &Comms, claim: &mut DeliveryClaim) -> Result<bool, StoreError> {
    let (store, holder) = (&comms.store, comms.replica.as_str());
    let end = climb(comms, claim).await?;
    let now = comms.clock.now();
    let (due_at, failures, looked_at) = match end {
        End::Lost => return Ok(false),
        End::Done { looked_at } => (None, 0, looked_at),
        End::Later { after, failures } => {
            let after = TimeDelta::from_std(after).unwrap_or(TimeDelta::hours(1));
            (Some(now + after), failures, None)
        }
        End::Stopping { failures } => (Some(now), failures, None),
    };
    if store
        .finish_delivery(claim, holder, due_at, failures, looked_at)
        .await?
    {
        return Ok(false);
    }
    if matches!(end, End::Stopping { .. }) {
        store.release_delivery(claim, holder).await?;
        return Ok(false);
    }
    let Some(again) = store.reclaim_delivery(claim, holder, now + HOLD).await? else {
        return Ok(false);
    };
    *claim = again;
    // A callback that has answered has not failed before, though nobody has written that down.
    claim.failures = claim.failures.min(failures);
    Ok(true)
}

async fn climb(comms: &Comms, claim: &mut DeliveryClaim) -> Result<End, StoreError> {
    let agent = claim.agent();
    let (recipient, listening) = tokio::join!(comms.store.find_recipient(&agent), listeners::find_live(comms, &agent));
    let Some(recipient) = recipient? else {
        return Ok(End::Done { looked_at: None });
    };
    // A registry that does not answer knows of no listener: the callback is still there.
    let listening = listening.unwrap_or_else(|error| {
        tracing::warn!(%error, "nobody knows who listens");
        Vec::new()
    });
    for listener in &listening {
        if let Some(end) = push_all(comms, claim, &recipient.org(), listener).await? {
            return Ok(end);
        }
    }
    call_all(comms, claim).await
}

/// `None`: this listener does not answer.
async fn push_all(
    comms: &Comms,
    claim: &mut DeliveryClaim,
    org: &OrgId,
    listener: &listeners::Listener,
) -> Result<Option<End>, StoreError> {
    let (store, agent) = (&comms.store, claim.agent());
    loop {
        if comms.tasks.is_closed() {
            let failures = claim.failures;
            return Ok(Some(End::Stopping { failures }));
        }
        if !keep(comms, claim).await? {
            return Ok(Some(End::Lost));
        }
        let now = comms.clock.now();
        let events = hold(comms, &agent, None, NO_LIMIT, PUSH, now).await?;
        if events.is_empty() {
            return Ok(Some(End::Done { looked_at: Some(now) }));
        }
        // What does not fit into one push is handed back, and comes with the next.
        let (mut texts, mut whole, mut short, mut size) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for event in &events {
            let message = live::Message::new(&view(comms, org, event));
            size += message.size;
            if !texts.is_empty() && size > live::MAX_PUSH {
                break;
            }
            texts.push(message.text);
            if message.is_short { &mut short } else { &mut whole }.push(event.seq);
        }
        let (pushed, left) = events.split_at(texts.len());
        if !left.is_empty() {
            store.release_events(&agent, &seqs(left), AGENT_OFFLINE, false).await?;
        }
        if !live::push(comms, listener, texts).await {
            store
                .release_events(&agent, &seqs(pushed), AGENT_OFFLINE, false)
                .await?;
            comms.metrics.delivery("live", "unconfirmed", pushed.len());
            return Ok(None);
        }
        confirm(comms, &agent, &whole).await?;
        comms.metrics.delivery("live", "delivered", whole.len());
        if !short.is_empty() {
            store.release_events(&agent, &short, TOO_LARGE_TO_PUSH, false).await?;
            comms.metrics.delivery("live", "truncated", short.len());
        }
        // These were all; what came since then keeps the climb from being finished.
        if left.is_empty() && events.len() < PUSH as usize {
            return Ok(Some(End::Done { looked_at: Some(now) }));
        }
    }
}

/// One event at a time, so that none is held for longer than a call takes, and with what the agent wants at that moment.
async fn call_all(comms: &Comms, claim: &mut DeliveryClaim) -> Result<End, StoreError> {
    let (store, agent) = (&comms.store, claim.agent());
    let schedule = &comms.settings.callback_retry_after;
    let max_tries = i64::try_from(schedule.len()).unwrap_or(i64::MAX).saturating_add(1);
    let mut failures = claim.failures;
    let mut in_a_row = 0;
    loop {
        if comms.tasks.is_closed() {
            return Ok(End::Stopping { failures });
        }
        let Some(recipient) = store.find_recipient(&agent).await? else {
            return Ok(End::Done { looked_at: None });
        };
        let only = match (&recipient.callback_url, &recipient.voice_callback_url) {
            (Some(_), _) => None,
            (None, Some(_)) => Some(Channel::Voice),
            (None, None) => return Ok(End::Done { looked_at: None }),
        };
        // A slow callback may take longer than the claim lasts.
        if !keep(comms, claim).await? {
            return Ok(End::Lost);
        }
        let now = comms.clock.now();
        let events = hold(comms, &agent, only, Some(max_tries), 1, now).await?;
        let Some(event) = events.first() else {
            return Ok(End::Done { looked_at: Some(now) });
        };
        let Some(url) = recipient.callback_for(event.channel.as_deref()) else {
            return Ok(End::Done { looked_at: None });
        };
        let answer = callback::call(comms, &recipient.org(), &recipient, url, event).await;
        comms.metrics.delivery("callback", answer.word(), 1);
        match answer {
            callback::Answer::Taken => {
                confirm(comms, &agent, &[event.seq]).await?;
                (failures, in_a_row) = (0, 0);
            }
            callback::Answer::Gone => {
                if store.remove_callback_url(&agent, url).await? {
                    tracing::warn!(%agent, "a callback says that it is gone for good, and is removed");
                }
                store
                    .release_events(&agent, &[event.seq], CALLBACK_FAILED, false)
                    .await?;
            }
            callback::Answer::Failed { retry_after } => {
                let tried = usize::try_from(event.tries).unwrap_or(usize::MAX);
                let asked = retry_after.unwrap_or_default();
                let retry_at = schedule.get(tried).map(|after| later(now, jittered(*after).max(asked)));
                store
                    .put_off_event(&agent, event.seq, CALLBACK_FAILED, retry_at)
                    .await?;
                tracing::info!(%agent, event = event.id, tries = event.tries + 1, "a callback failed");
                in_a_row += 1;
                // One event that its host can't take must not stop everybody else's; a host that takes none is left alone.
                if in_a_row >= GIVE_UP_AFTER || retry_after.is_some() {
                    let step = usize::try_from(failures).unwrap_or(usize::MAX);
                    let after = schedule
                        .get(step)
                        .or(schedule.last())
                        .copied()
                        .unwrap_or(Duration::from_secs(60));
                    failures = failures.saturating_add(1);
                    let after = jittered(after).max(asked);
                    return Ok(End::Later { after, failures });
                }
            }
        }
    }
}

fn later(now: Timestamp, after: Duration) -> Timestamp {
    now + TimeDelta::from_std(after).unwrap_or(TimeDelta::hours(1))
}

async fn hold(
    comms: &Comms,
    agent: &AgentId,
    channel: Option<Channel>,
    max_tries: Option<i64>,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<Event>, StoreError> {
    let hold = Hold {
        channel,
        max_tries,
        to_push: true,
        limit,
        now,
        until: now + HOLD,
    };
    comms.store.hold_waiting_events(agent, &hold).await
}

/// Sees to it that the claim lasts for another call or push. False: it was lost.
async fn keep(comms: &Comms, claim: &mut DeliveryClaim) -> Result<bool, StoreError> {
    let now = comms.clock.now();
    if claim.held_until - now >= AT_LEAST {
        return Ok(true);
    }
    comms
        .store
        .renew_delivery(claim, comms.replica.as_str(), now + HOLD)
        .await
}

/// The agent has them. It must not get them again because the store is away for a moment: meanwhile nobody else finds them
/// there either, so a claim that runs out does no harm.
async fn confirm(comms: &Comms, agent: &AgentId, seqs: &[i64]) -> Result<(), StoreError> {
    let begun = Instant::now();
    loop {
        match comms.store.confirm_events(agent, seqs, true, comms.clock.now()).await {
            Err(error) if error.is_unavailable() && begun.elapsed() < CONFIRMED_WITHIN && !comms.tasks.is_closed() => {
                tracing::debug!(%error, "what an agent has is not marked yet");
                tokio::time::sleep(CONFIRM_PAUSE).await;
            }
            done => return done.map(drop),
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
