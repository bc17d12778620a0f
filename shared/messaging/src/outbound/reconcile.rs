//! The reconciler: settles sends with an unknown outcome. It never sends a message that may have been sent: it searches the
//! carrier's list, or repeats the request with an idempotency key of the carrier. A send that cannot be settled ends as
//! unconfirmed, and the agent is notified.

use std::time::Duration;

use butt_dial_domain::{
    Address, ChannelId, Failure, Micros, keys,
    message::Content,
    ports::carrier::{CarrierAcceptance, Dispatch, ListedMessage, Outcome, Reconciliation, RefusalClass},
};
use butt_dial_store::{
    AttemptOutcome, ConsentStatus, Found, Look, Message, SendResult, SettledSend, StoreError, TraceStep, Unsettled,
};
use chrono::TimeDelta;
use futures::StreamExt;
use tokio::time::Instant;

use super::{
    Outbound, dispatch::send_once, internal_carrier, record::accepted_result, refusals::error_code,
    reserve::StoredContent, status_event::settle_and_tell,
};
use crate::Carrier;

/// Sends that are claimed at a time. Agents take turns.
const BATCH: u32 = 32;
const CONCURRENCY: usize = 8;
/// Longer than the checks of a batch take: four in a row of at most a minute each. After that another replica takes over.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// Clocks differ, and carriers round to seconds.
const CLOCK_SKEW: TimeDelta = TimeDelta::seconds(5);
/// How long after the deadline of its request a carrier may still create the message: the request was on its way.
const LATE_ARRIVAL: TimeDelta = TimeDelta::seconds(60);
/// How long a send stays unknown while the carrier does not answer.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::hours(24);
/// How long a listed message stays claimed, so that two unknown sends cannot claim the same one.
const CLAIM: Duration = Duration::from_secs(48 * 3_600);

/// The result of a message that no check has found.
const UNCONFIRMED: (SendResult, AttemptOutcome) = (SendResult::Unconfirmed, AttemptOutcome::Unconfirmed);

/// The result of a check.
enum Finding {
    Settled(SendResult),
    /// The carrier answered, and does not have the message (yet).
    NotFound,
    /// The carrier did not answer.
    NoAnswer,
}

impl Outbound {
    /// Checks the sends that are due, until none is. Returns how many were checked.
    pub async fn reconcile(&self) -> Result<usize, Failure> {
        let mut checked = 0;
        loop {
            let count = self.reconcile_batch().await?;
            checked += count;
            if count < BATCH as usize || self.tasks.is_closed() {
                return Ok(checked);
            }
        }
    }

    async fn reconcile_batch(&self) -> Result<usize, Failure> {
        let now = self.clock.now();
        let due = self.store.claim_unsettled(BATCH, now, now + LEASE).await?;
        let count = due.len();
        // Concurrently, so that a carrier that does not answer delays no other carrier's messages.
        futures::stream::iter(due)
            .for_each_concurrent(CONCURRENCY, |unsettled| async move {
                let id = unsettled.message.id.clone();
                if let Err(error) = check(self, unsettled).await {
                    tracing::warn!(%error, message_id = %id, "reconciliation failed; it stays due");
                }
            })
            .await;
        Ok(count)
    }
}

#[tracing::instrument(level = "debug", name = "reconcile", skip_all, fields(message_id = %unsettled.message.id))]
async fn check(outbound: &Outbound, unsettled: Unsettled) -> Result<(), StoreError> {
    let message = &unsettled.message;
    let (at, started) = (outbound.clock.now(), Instant::now());
    // A sender keeps its account.
    let account = outbound
        .store
        .find_sender_account(message.channel, &message.sender)
        .await?;
    let carrier = outbound
        .carriers
        .find_in(message.channel, account.as_ref().map(|account| (account, None)))
        .await?
        .filter(|carrier| carrier.id == message.carrier)
        .or_else(|| (message.carrier == internal_carrier::ID).then(|| outbound.internal_carrier.clone()));
    let finding = match carrier {
        // A receipt brought the carrier's id, which proves acceptance.
        _ if message.carrier_id.is_some() => proven(message),
        Some(carrier) => match carrier.messaging.reconciliation() {
            Reconciliation::Listing => search_list(outbound, &carrier, message).await?,
            // Only a receipt can settle it.
            Reconciliation::None => Finding::NotFound,
            Reconciliation::RepeatWithKey { window_seconds } => {
                repeat_with_key(outbound, &carrier, &unsettled, window_seconds).await
            }
        },
        // The carrier is not configured now; a later start may configure it again.
        None => Finding::NoAnswer,
    };
    let look = |found| Look {
        at,
        took: started.elapsed(),
        found,
    };
    match finding {
        Finding::Settled(result) => {
            let look = look(Found::Outcome);
            settle(outbound, message, (result, AttemptOutcome::Reconciled), look).await
        }
        Finding::NotFound => handle_not_found(outbound, message, look(Found::Nothing)).await,
        Finding::NoAnswer => handle_no_answer(outbound, message, look(Found::NoAnswer)).await,
    }
}

fn proven(message: &Message) -> Finding {
    let receipt = CarrierAcceptance {
        carrier_id: message.carrier_id.clone().unwrap_or_default(),
        carrier_status: message.stage.clone().unwrap_or_default(),
        segments: None,
        price: None,
    };
    Finding::Settled(accepted_result(&receipt, estimate(message)))
}

async fn search_list(outbound: &Outbound, carrier: &Carrier, message: &Message) -> Result<Finding, StoreError> {
    let from = Address::known(message.channel, &message.sender);
    let to = Address::known(message.channel, &message.recipient);
    // Another send of the same text to the same recipient is in progress: the listed message may be that one.
    if outbound.store.has_duplicate_in_flight(message).await? {
        return Ok(Finding::NoAnswer);
    }
    let since = message.created_at - CLOCK_SKEW;
    let Ok(listed) = carrier.messaging.list(message.channel, &from, &to, since).await else {
        return Ok(Finding::NoAnswer);
    };
    // Or it was sent while the carrier was asked. It is stored before its request, so it is found here, or its carrier id is
    // found below.
    if outbound.store.has_duplicate_in_flight(message).await? {
        return Ok(Finding::NoAnswer);
    }
    let deadline = TimeDelta::from_std(carrier.messaging.deadline()).unwrap_or(LATE_ARRIVAL);
    let until = message.created_at + deadline + LATE_ARRIVAL;
    let hash = |text: &str| outbound.vault.body_hash(&message.org, text);
    let mut matching: Vec<&ListedMessage> = listed
        .iter()
        .filter(|listed| (since..=until).contains(&listed.created_at))
        .collect();
    if message.body_hash == hash("") {
        // A template or a picture: the listed text differs from the requested one, so only the addresses can match, and only
        // if there is one candidate.
        if matching.len() > 1 {
            return Ok(Finding::NotFound);
        }
    } else {
        matching.retain(|listed| hash(&listed.body) == message.body_hash);
    }
    matching.sort_by_key(|listed| listed.created_at);
    for listed in matching {
        if outbound.store.has_carrier_id(&listed.carrier_id).await? {
            continue;
        }
        // Claimed with this message's id, so that the next check finds its own claim after a crash.
        let claim = keys::reconciled(carrier.id, &listed.carrier_id);
        match outbound.kv.acquire(&claim, message.id.as_str(), CLAIM).await {
            Ok(Some(_)) => {
                let receipt = CarrierAcceptance {
                    carrier_id: listed.carrier_id.clone(),
                    carrier_status: listed.carrier_status.clone(),
                    segments: listed.segments,
                    price: listed.price,
                };
                let cost = cost(outbound, message, &to, listed, message.body_hash == hash(""));
                return Ok(Finding::Settled(accepted_result(&receipt, cost)));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "listed message not claimed");
                return Ok(Finding::NoAnswer);
            }
        }
    }
    Ok(Finding::NotFound)
}

/// Repeats the request with the same key: the carrier sends once per key, so its answer is the outcome.
async fn repeat_with_key(
    outbound: &Outbound,
    carrier: &Carrier,
    unsettled: &Unsettled,
    window_seconds: u64,
) -> Finding {
    let message = &unsettled.message;
    // If the carrier did not take the first request, this one is the send, so the rules apply again.
    match is_still_allowed(outbound, message).await {
        Ok(true) => {}
        Ok(false) => return Finding::NotFound,
        Err(_) => return Finding::NoAnswer,
    }
    let age = outbound.clock.now() - message.created_at;
    let window = i64::try_from(window_seconds).map_or(TimeDelta::MAX, TimeDelta::seconds);
    let Some(dispatch) = restore(outbound, unsettled).filter(|_| age < window - TimeDelta::minutes(10)) else {
        return Finding::NotFound;
    };
    match send_once(outbound, carrier, &dispatch).await {
        Outcome::Accepted(receipt) => Finding::Settled(accepted_result(&receipt, estimate(message))),
        Outcome::Refused(refusal) => match refusal.class {
            // These depend on the message itself, so the first request was refused as well.
            RefusalClass::Recipient
            | RefusalClass::Content
            | RefusalClass::OptedOut
            | RefusalClass::OptedOutOfMarketing
            | RefusalClass::WindowClosed => Finding::Settled(SendResult::Failed {
                failure: error_code(refusal.class).as_str(),
                frees_key: false,
            }),
            RefusalClass::Configuration | RefusalClass::Throttled | RefusalClass::Unreachable => Finding::NoAnswer,
        },
        Outcome::Unknown(_) => Finding::NoAnswer,
    }
}

async fn is_still_allowed(outbound: &Outbound, message: &Message) -> Result<bool, StoreError> {
    // Only suppression and consent are read, so no sender is needed.
    let channel = (&ChannelId::from(""), message.channel);
    let contact = outbound
        .store
        .find_contact_state(&message.org, &message.agent, channel, &message.recipient, "")
        .await?;
    Ok(contact.suppression.is_none() && contact.consent != Some(ConsentStatus::Revoked))
}

fn restore(outbound: &Outbound, unsettled: &Unsettled) -> Option<Dispatch> {
    let message = &unsettled.message;
    let sealed = unsettled.content.as_deref()?;
    let plain = outbound.vault.decrypt(&message.org, message.id.as_str(), sealed);
    let plain = plain
        .inspect_err(|error| tracing::error!(%error, message_id = %message.id, "stored content not decrypted"))
        .ok()?;
    let stored: StoredContent = serde_json::from_slice(&plain).ok()?;
    Some(Dispatch {
        message: message.id.clone(),
        channel: message.channel,
        from: Address::known(message.channel, &message.sender),
        to: Address::known(message.channel, &message.recipient),
        content: stored.content,
        sender_name: stored.sender_name,
        callback: outbound.public_urls.receipts(&message.carrier, &message.id),
        call_urls: outbound.public_urls.call_urls(&message.carrier, message.id.as_str()),
    })
}

/// Returns the cost of a listed message without a price: a text costs as many segments as the carrier counts.
fn cost(outbound: &Outbound, message: &Message, to: &Address, listed: &ListedMessage, is_without_text: bool) -> Micros {
    let estimate = estimate(message);
    let counted = listed.segments.filter(|_| !is_without_text && estimate != Micros::ZERO);
    let (prices, carrier) = (outbound.billing.prices(), Some(message.carrier.as_str()));
    let counted =
        counted.and_then(|count| prices.text_of_segments(message.channel, carrier, to, &Content::default(), count));
    // A picture with a text has one price.
    counted.filter(|_| listed.media == 0).unwrap_or(estimate)
}

fn estimate(message: &Message) -> Micros {
    Micros(message.estimate)
}

async fn handle_not_found(outbound: &Outbound, message: &Message, look: Look) -> Result<(), StoreError> {
    // The first delay led to the first check, so the next delay has the number of checks made, this one included.
    let checks = usize::try_from(message.checks).map_or(usize::MAX, |before| before.saturating_add(1));
    match outbound.settings.reconcile_after.get(checks) {
        Some(wait) => {
            let at = outbound.clock.now() + TimeDelta::from_std(*wait).unwrap_or(LEASE);
            outbound.store.schedule_check(&message.id, at, true, look).await
        }
        None => settle(outbound, message, UNCONFIRMED, look).await,
    }
}

async fn handle_no_answer(outbound: &Outbound, message: &Message, look: Look) -> Result<(), StoreError> {
    let now = outbound.clock.now();
    if now - message.created_at > GIVE_UP_AFTER {
        return settle(outbound, message, UNCONFIRMED, look).await;
    }
    let wait = outbound
        .settings
        .reconcile_after
        .last()
        .copied()
        .unwrap_or(Duration::from_secs(60));
    let wait = TimeDelta::from_std(wait).unwrap_or(LEASE).min(TimeDelta::seconds(30));
    outbound
        .store
        .schedule_check(&message.id, now + wait, false, look)
        .await
}

/// Persists the outcome, and notifies the agent, which was answered `pending`.
async fn settle(
    outbound: &Outbound,
    message: &Message,
    (result, outcome): (SendResult, AttemptOutcome),
    look: Look,
) -> Result<(), StoreError> {
    let status = result.status().as_str();
    let known = result.clone();
    let settled = SettledSend {
        id: message.id.clone(),
        result,
        outcome,
        detail: None,
        disclosed_to: None,
        trace: Some(TraceStep::Looked(look)),
        at: outbound.clock.now(),
    };
    let told = settle_and_tell(outbound, &message.agent, message.channel, settled).await;
    // Another message has this carrier id: what the carrier listed was not this one.
    if matches!(told, Err(StoreError::Conflict)) {
        tracing::warn!(message_id = %message.id, "listed message belongs to another send");
        let look = Look {
            found: Found::Nothing,
            ..look
        };
        return Box::pin(handle_not_found(outbound, message, look)).await;
    }
    if told? {
        outbound.metrics.record_reconciled(&message.carrier, status);
        outbound.metrics.record_settled(&known, estimate(message));
        tracing::info!(message_id = %message.id, status, "unknown send settled");
    }
    Ok(())
}
