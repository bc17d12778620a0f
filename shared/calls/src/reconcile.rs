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
        voice::{CarrierCall, ControlError},
    },
};
use butt_dial_store::{Call, CallCursor};
use chrono::TimeDelta;
use futures::StreamExt;

use super::{
    conclude::conclude,
    state::{self, CallInfo, CallState, Responder},
    webhook::LANGUAGE,
};
use crate::{
    Comms,
    inbound::{WebhookRefusal, envelope::Envelope, publish},
};

/// Much shorter than most calls that go wrong would stay open, and longer than callbacks take.
const STALE_AFTER: TimeDelta = TimeDelta::minutes(3);
/// How many are asked about in one round.
const BATCH: u32 = 32;
const CONCURRENCY: usize = 8;
/// One replica asks, and another one when it is gone for so long.
const SWEEP_LEASE: Duration = Duration::from_secs(90);
const CURSOR_TTL: Duration = Duration::from_secs(3_600);

/// One round, where it is this replica's turn. Each goes on where the one before has stopped, so that many long calls do not
/// keep others from being asked about. Returns how many have turned out to be over.
pub async fn sweep(comms: &Comms) -> Result<usize, Failure> {
    let turn = comms
        .kv
        .acquire(keys::CALL_RECONCILER_LEASE, comms.replica.as_str(), SWEEP_LEASE)
        .await;
    if turn.map_err(|error| state::unavailable(&error))?.is_none() {
        return Ok(0);
    }
    let place = comms.kv.get(keys::CALL_RECONCILER_CURSOR).await;
    let place = place.map_err(|error| state::unavailable(&error))?;
    let place: Option<CallCursor> = place.and_then(|text| serde_json::from_str(&text).ok());
    let (ended, next) = reconcile_stale(comms, comms.clock.now() - STALE_AFTER, place.as_ref()).await?;
    let kept = match next.and_then(|next| serde_json::to_string(&next).ok()) {
        Some(next) => comms.kv.set(keys::CALL_RECONCILER_CURSOR, &next, CURSOR_TTL).await,
        None => comms.kv.delete(keys::CALL_RECONCILER_CURSOR).await,
    };
    kept.map_err(|error| state::unavailable(&error))?;
    Ok(ended)
}

/// Asks about calls of which nothing was told since then. Returns how many were over, and after which one to go on; `None`:
/// from the first.
pub async fn reconcile_stale(
    comms: &Comms,
    unchanged_since: Timestamp,
    after: Option<&CallCursor>,
) -> Result<(usize, Option<CallCursor>), Failure> {
    let calls = comms.store.list_stale_calls(unchanged_since, after, BATCH).await;
    let calls = calls?;
    let is_full = calls.len() == BATCH as usize;
    let next = calls.last().map(CallCursor::from).filter(|_| is_full);
    let ended = futures::stream::iter(calls)
        .map(|call| async move { is_ended(comms, &call).await })
        .buffer_unordered(CONCURRENCY)
        .filter(|ended| std::future::ready(*ended))
        .count()
        .await;
    Ok((ended, next))
}

async fn is_ended(comms: &Comms, call: &Call) -> bool {
    let Some((carrier_id, listed)) = fetch_ended(comms, call).await else {
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
async fn fetch_ended<'a>(comms: &Comms, call: &'a Call) -> Option<(&'a str, Option<CarrierCall>)> {
    let carrier_id = call.carrier_id.as_deref()?;
    let (_, voice) = comms.carriers.find_voice(&call.carrier)?;
    match voice.fetch_call(carrier_id).await {
        Ok(listed) => listed.status.is_over().then_some((carrier_id, Some(listed))),
        Err(ControlError::CallEnded) => Some((carrier_id, None)),
        Err(error) => {
            tracing::warn!(%error, call = %call.id, "what became of a call can't be asked right now");
            None
        }
    }
}

fn report(call: &Call, carrier_id: &str, listed: Option<CarrierCall>) -> CallReport {
    let (from, to) = call
        .direction
        .caller_and_callee(call.local_number.clone(), call.remote_number.clone());
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
    let envelope = Envelope::call(&state.info, report.clone());
    publish::append(comms, &state.info.carrier, &envelope, &Headers::new()).await?;
    conclude(comms, &state, report).await
}

/// What was said is gone with the state. That there was a call, its agent learns.
fn lost(call: &Call) -> CallState {
    let info = CallInfo {
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
        responder: Responder::Voicemail,
        ..CallState::new(info)
    }
}
