//! Calls that nothing has been heard of for some time, though they have not ended: their carrier is asked. What it would have
//! told takes the way of its callbacks, so it may be found out several times, and by a callback that comes after all.

use std::time::Duration;

use butt_dial_domain::{
    Failure,
    call::{CallReport, CallStatus, Plan, Purpose},
    clock::Timestamp,
    keys,
    ports::{
        bus::Headers,
        voice::{ControlError, ListedCall},
    },
};
use butt_dial_store::{Call, CallPlace};
use chrono::TimeDelta;
use futures::StreamExt;

use super::{
    conclude::conclude,
    state::{self, CallState, Facts, Mind},
    webhook::LANGUAGE,
};
use crate::{
    Comms,
    inbound::{WebhookRefusal, envelope::Envelope, publish},
    store_failure,
};

/// Much shorter than most calls that go wrong would stay open, and longer than callbacks take.
const UNHEARD: TimeDelta = TimeDelta::minutes(3);
/// How many are asked about in one round.
const BATCH: u32 = 32;
const AT_ONCE: usize = 8;
/// One replica asks, and another one when it is gone for so long.
const TURN: Duration = Duration::from_secs(90);
const PLACE_TTL: Duration = Duration::from_secs(3_600);

/// One round, where it is this replica's turn. Each goes on where the one before has stopped, so that many long calls do not
/// keep others from being asked about. Returns how many have turned out to be over.
pub async fn sweep(comms: &Comms) -> Result<usize, Failure> {
    let turn = comms
        .kv
        .acquire(keys::UNHEARD_CALLS, comms.replica.as_str(), TURN)
        .await;
    if turn.map_err(|error| state::unavailable(&error))?.is_none() {
        return Ok(0);
    }
    let place = comms.kv.get(keys::UNHEARD_PLACE).await;
    let place = place.map_err(|error| state::unavailable(&error))?;
    let place: Option<CallPlace> = place.and_then(|text| serde_json::from_str(&text).ok());
    let (ended, next) = ask_about(comms, comms.clock.now() - UNHEARD, place.as_ref()).await?;
    let kept = match next.and_then(|next| serde_json::to_string(&next).ok()) {
        Some(next) => comms.kv.set(keys::UNHEARD_PLACE, &next, PLACE_TTL).await,
        None => comms.kv.delete(keys::UNHEARD_PLACE).await,
    };
    kept.map_err(|error| state::unavailable(&error))?;
    Ok(ended)
}

/// Asks about calls of which nothing was told since then. Returns how many were over, and after which one to go on; `None`:
/// from the first.
pub async fn ask_about(
    comms: &Comms,
    unchanged_since: Timestamp,
    after: Option<&CallPlace>,
) -> Result<(usize, Option<CallPlace>), Failure> {
    let calls = comms.store.list_unheard_calls(unchanged_since, after, BATCH).await;
    let calls = calls.map_err(store_failure)?;
    let is_full = calls.len() == BATCH as usize;
    let next = calls.last().map(CallPlace::from).filter(|_| is_full);
    let ended = futures::stream::iter(calls)
        .map(|call| async move { is_ended(comms, &call).await })
        .buffer_unordered(AT_ONCE)
        .filter(|ended| std::future::ready(*ended))
        .count()
        .await;
    Ok((ended, next))
}

async fn is_ended(comms: &Comms, call: &Call) -> bool {
    let Some((carrier_id, listed)) = ask(comms, call).await else {
        return false;
    };
    let report = report(call, carrier_id, listed);
    let told = conclude_by(comms, call, &report).await;
    if told.is_ok() {
        tracing::info!(call = %call.id, status = ?report.status, "a call is over, as its carrier says when asked");
    }
    told.is_ok()
}

/// What the carrier says of a call that is over: nothing, where it does not know it any more. `None`: it goes on, or that
/// can't be said now.
async fn ask<'a>(comms: &Comms, call: &'a Call) -> Option<(&'a str, Option<ListedCall>)> {
    let carrier_id = call.carrier_id.as_deref()?;
    let (_, voice) = comms.carriers.find_voice(&call.carrier)?;
    match voice.look_up(carrier_id).await {
        Ok(listed) => listed.status.is_over().then_some((carrier_id, Some(listed))),
        Err(ControlError::Over) => Some((carrier_id, None)),
        Err(error) => {
            tracing::warn!(%error, call = %call.id, "what became of a call can't be asked right now");
            None
        }
    }
}

fn report(call: &Call, carrier_id: &str, listed: Option<ListedCall>) -> CallReport {
    let (from, to) = call
        .direction
        .ends(call.local_number.clone(), call.remote_number.clone());
    let forgotten = match call.answered_at {
        Some(_) => CallStatus::Completed,
        None => CallStatus::Failed,
    };
    CallReport {
        carrier_id: carrier_id.to_owned(),
        direction: call.direction,
        from,
        to,
        status: Some(listed.as_ref().map_or(forgotten, |listed| listed.status)),
        sequence: None,
        duration_seconds: listed.as_ref().and_then(|listed| listed.duration_seconds),
        at: listed.as_ref().and_then(|listed| listed.ended_at),
        answered_by: None,
        price: listed.and_then(|listed| listed.price),
        session: None,
        recording: None,
        dialled: None,
        digits: None,
        error_code: None,
    }
}

/// As a status callback does it.
async fn conclude_by(comms: &Comms, call: &Call, report: &CallReport) -> Result<(), WebhookRefusal> {
    let state = match state::find(comms, &call.id).await {
        Ok(found) => found.unwrap_or_else(|| lost(call)),
        Err(error) => {
            tracing::warn!(%error, call = %call.id, "a call that is over can't be concluded yet");
            return Err(WebhookRefusal::Unavailable);
        }
    };
    let envelope = Envelope::call(&state.facts, report.clone());
    publish::append(comms, &state.facts.carrier, &envelope, &Headers::new()).await?;
    conclude(comms, &state, report).await
}

/// What was said is gone with the state. That there was a call, its agent learns.
fn lost(call: &Call) -> CallState {
    let facts = Facts {
        call: call.id.clone(),
        org: call.org.clone(),
        agent: call.agent.clone(),
        carrier: call.carrier.clone(),
        carrier_id: call.carrier_id.clone(),
        direction: call.direction,
        local: call.local_number.clone(),
        remote: call.remote_number.clone(),
        name: String::new(),
        plan: Plan {
            purpose: Purpose::Converse,
            greeting: None,
            system_prompt: None,
            voice: None,
            language: None,
        },
        language: LANGUAGE.to_owned(),
        started_at: call.created_at,
        limit_at: call.created_at,
    };
    CallState {
        mind: Mind::Machine,
        ..CallState::new(facts)
    }
}
