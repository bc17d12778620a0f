//! Finds out what became of sends with an unknown outcome. It never sends anything that might have been sent: it asks the
//! carrier's list, or repeats with a key under which the carrier itself sends only once. What can't be found out is told.

use std::time::Duration;

use butt_dial_domain::{
    Address, ChannelId, Failure, keys,
    ports::carrier::{Dispatch, Listed, Outcome, Receipt, Reconciliation, RefusalClass},
};
use butt_dial_store::{Message, SendResult, SettledSend, StoreError, Unsettled};
use chrono::TimeDelta;
use futures::StreamExt;

use super::{
    announce::announce,
    dispatch::send_once,
    inside,
    record::{accepted_result, code},
};
use crate::{Carrier, Comms, store_failure};

/// How many are looked at in one go.
const BATCH: u32 = 32;
const AT_ONCE: usize = 8;
/// Longer than the looks at a whole batch take, four after another of at most a minute each; then another replica looks.
const LEASE: TimeDelta = TimeDelta::minutes(5);
/// Clocks differ, and carriers round to seconds.
const SKEW: TimeDelta = TimeDelta::seconds(5);
/// When the carrier itself does not answer, the question stays open for this long.
const GIVE_UP: TimeDelta = TimeDelta::hours(24);
/// How long a listed message counts as somebody's, so that two unknown sends can't both claim it.
const CLAIM: Duration = Duration::from_secs(48 * 3_600);

/// What a look found.
enum Finding {
    Settled(SendResult),
    /// The carrier answered, and does not have it (yet).
    NotThere,
    /// The carrier did not answer.
    NoAnswer,
}

/// One round: looks at everything that is due. Returns how many were looked at.
pub async fn run_once(comms: &Comms) -> Result<usize, Failure> {
    let now = comms.clock.now();
    let due = comms
        .store
        .claim_unsettled(BATCH, now, now + LEASE)
        .await
        .map_err(store_failure)?;
    let count = due.len();
    // Side by side, so that a carrier that does not answer holds up nobody else's messages.
    futures::stream::iter(due)
        .for_each_concurrent(AT_ONCE, |unsettled| async move {
            let id = unsettled.message.id.clone();
            if let Err(error) = look(comms, unsettled).await {
                tracing::warn!(%error, message_id = %id, "could not look into a message; it comes again");
            }
        })
        .await;
    Ok(count)
}

#[tracing::instrument(level = "debug", name = "reconcile", skip_all, fields(message_id = %unsettled.message.id))]
async fn look(comms: &Comms, unsettled: Unsettled) -> Result<(), StoreError> {
    let message = &unsettled.message;
    let carrier = comms
        .carriers
        .find(message.channel)
        .filter(|carrier| carrier.id == message.carrier)
        .cloned()
        .or_else(|| (message.carrier == inside::ID).then(|| inside::carrier(&comms.store, &comms.bus, &comms.vault)));
    let finding = match carrier {
        // A receipt has brought the carrier's id: it was taken.
        _ if message.carrier_id.is_some() => proven(message),
        Some(carrier) => match carrier.messaging.reconciliation() {
            Reconciliation::Listing => ask_the_list(comms, &carrier, message).await?,
            // Only a receipt can tell; until one comes, or for good, nothing is known.
            Reconciliation::None => Finding::NotThere,
            Reconciliation::RepeatWithKey { window_seconds } => {
                repeat_with_key(comms, &carrier, &unsettled, window_seconds).await
            }
        },
        // The carrier is no longer configured; it may come back with the next start.
        None => Finding::NoAnswer,
    };
    match finding {
        Finding::Settled(result) => settle(comms, message, result, "reconciled").await,
        Finding::NotThere => not_there(comms, message).await,
        Finding::NoAnswer => no_answer(comms, message).await,
    }
}

fn proven(message: &Message) -> Finding {
    let receipt = Receipt {
        carrier_id: message.carrier_id.clone().unwrap_or_default(),
        carrier_status: message.stage.clone().unwrap_or_default(),
        segments: None,
        price: None,
    };
    Finding::Settled(accepted_result(&receipt, estimate(message)))
}

async fn ask_the_list(comms: &Comms, carrier: &Carrier, message: &Message) -> Result<Finding, StoreError> {
    let (Ok(from), Ok(to)) = (
        Address::parse(message.channel, &message.sender),
        Address::parse(message.channel, &message.recipient),
    ) else {
        return Ok(Finding::NotThere);
    };
    // The same text to the same person may be on its way at this moment, and what is listed be that one.
    if comms.store.has_twin_under_way(message).await? {
        return Ok(Finding::NoAnswer);
    }
    let since = message.created_at - SKEW;
    let Ok(listed) = carrier.messaging.list(message.channel, &from, &to, since).await else {
        return Ok(Finding::NoAnswer);
    };
    let hash = |text: &str| comms.vault.body_hash(&message.org, text);
    let mut matching: Vec<&Listed> = listed.iter().filter(|listed| listed.created_at >= since).collect();
    if message.body_hash == hash("") {
        // A template or a picture: what the carrier lists is not what was asked for, so only the addresses can match, and
        // only when there is no choice.
        if matching.len() > 1 {
            return Ok(Finding::NotThere);
        }
    } else {
        matching.retain(|listed| hash(&listed.body) == message.body_hash);
    }
    matching.sort_by_key(|listed| listed.created_at);
    for listed in matching {
        if comms.store.has_carrier_id(&listed.carrier_id).await? {
            continue;
        }
        // Held in this message's name, so that the next look finds its own claim again should we die now.
        let claim = keys::reconciled(carrier.id, &listed.carrier_id);
        match comms.kv.acquire(&claim, message.id.as_str(), CLAIM).await {
            Ok(Some(_)) => {
                let receipt = Receipt {
                    carrier_id: listed.carrier_id.clone(),
                    carrier_status: listed.carrier_status.clone(),
                    segments: None,
                    price: listed.price,
                };
                return Ok(Finding::Settled(accepted_result(&receipt, estimate(message))));
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "what was found in a carrier's list can't be claimed yet");
                return Ok(Finding::NoAnswer);
            }
        }
    }
    Ok(Finding::NotThere)
}

/// The carrier sends once for one key, however often it is asked: so asking again is how to learn what happened.
async fn repeat_with_key(comms: &Comms, carrier: &Carrier, unsettled: &Unsettled, window_seconds: u64) -> Finding {
    let message = &unsettled.message;
    // The first request may not have been taken, and then this one is the send: it asks again whether it may.
    match is_still_allowed(comms, message).await {
        Ok(true) => {}
        Ok(false) => return Finding::NotThere,
        Err(_) => return Finding::NoAnswer,
    }
    let age = comms.clock.now() - message.created_at;
    let window = i64::try_from(window_seconds).map_or(TimeDelta::MAX, TimeDelta::seconds);
    let Some(dispatch) = restore(comms, unsettled).filter(|_| age < window - TimeDelta::minutes(10)) else {
        return Finding::NotThere;
    };
    match send_once(comms, carrier, &dispatch).await {
        Outcome::Accepted(receipt) => Finding::Settled(accepted_result(&receipt, estimate(message))),
        Outcome::Refused(refusal) => match refusal.class {
            // These say something about the message itself, so the first request got the same answer.
            RefusalClass::Recipient | RefusalClass::Content | RefusalClass::OptedOut | RefusalClass::WindowClosed => {
                Finding::Settled(SendResult::Failed {
                    failure: code(refusal.class).as_str(),
                    frees_key: false,
                })
            }
            RefusalClass::Configuration | RefusalClass::Throttled | RefusalClass::Unreachable => Finding::NoAnswer,
        },
        Outcome::Unknown(_) => Finding::NoAnswer,
    }
}

async fn is_still_allowed(comms: &Comms, message: &Message) -> Result<bool, StoreError> {
    // No channel of the agent's is asked about: e-mail has no window.
    let channel = (&ChannelId::from(""), message.channel);
    let contact = comms
        .store
        .find_contact_state(&message.org, &message.agent, channel, &message.recipient, "")
        .await?;
    Ok(contact.suppression.is_none() && contact.consent.as_deref() != Some("revoked"))
}

fn restore(comms: &Comms, unsettled: &Unsettled) -> Option<Dispatch> {
    let message = &unsettled.message;
    let sealed = unsettled.content.as_deref()?;
    let plain = comms.vault.decrypt(&message.org, message.id.as_str(), sealed);
    let plain = plain
        .inspect_err(|error| tracing::error!(%error, message_id = %message.id, "the content is lost"))
        .ok()?;
    let stored: super::admit::StoredContent = serde_json::from_slice(&plain).ok()?;
    Some(Dispatch {
        message: message.id.clone(),
        channel: message.channel,
        from: Address::parse(message.channel, &message.sender).ok()?,
        to: Address::parse(message.channel, &message.recipient).ok()?,
        content: stored.content,
        sender_name: stored.sender_name,
        callback: comms.settings.receipts_url(&message.carrier, &message.id),
        call_urls: comms.settings.call_urls(&message.carrier, message.id.as_str()),
    })
}

fn estimate(message: &Message) -> butt_dial_domain::Micros {
    butt_dial_domain::Micros(message.estimate)
}

async fn not_there(comms: &Comms, message: &Message) -> Result<(), StoreError> {
    // The first wait led to this look, so the next one is the wait after as many looks as there were, this one included.
    let looked = usize::try_from(message.checks).map_or(usize::MAX, |before| before.saturating_add(1));
    match comms.settings.reconcile_after.get(looked) {
        Some(wait) => {
            let at = comms.clock.now() + TimeDelta::from_std(*wait).unwrap_or(LEASE);
            comms.store.schedule_check(&message.id, at, true).await
        }
        None => settle(comms, message, SendResult::Unconfirmed, "unconfirmed").await,
    }
}

async fn no_answer(comms: &Comms, message: &Message) -> Result<(), StoreError> {
    let now = comms.clock.now();
    if now - message.created_at > GIVE_UP {
        return settle(comms, message, SendResult::Unconfirmed, "unconfirmed").await;
    }
    let wait = comms
        .settings
        .reconcile_after
        .last()
        .copied()
        .unwrap_or(Duration::from_secs(60));
    let wait = TimeDelta::from_std(wait).unwrap_or(LEASE).min(TimeDelta::seconds(30));
    comms.store.schedule_check(&message.id, now + wait, false).await
}

/// Writes the truth down and tells the agent, who was answered `pending` at the time.
async fn settle(comms: &Comms, message: &Message, result: SendResult, outcome: &'static str) -> Result<(), StoreError> {
    announce(comms, &message.agent, &message.id, message.channel, &result).await?;
    let status = result.status().as_str();
    let at = comms.clock.now();
    let settled = SettledSend {
        id: message.id.clone(),
        result,
        outcome,
        detail: None,
        at,
    };
    if comms.store.settle_send(settled).await? {
        comms.metrics.reconciled(&message.carrier, status);
        tracing::info!(message_id = %message.id, status, "an unknown send was settled");
    }
    Ok(())
}
