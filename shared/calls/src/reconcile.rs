//! The reconciler of calls: asks the carrier about live calls without recent reports, because a callback can get lost. Its
//! findings are published like callbacks, so a callback that arrives late does no harm.

use std::time::Duration;

use butt_dial_domain::{
    Failure,
    call::{CallInfo, CallReport, CallStatus, Plan, Purpose},
    clock::Timestamp,
    keys,
    ports::{
        bus::Headers,
        voice::{CarrierCall, ControlError},
    },
};
use butt_dial_messaging::inbound::{WebhookRefusal, envelope::Envelope};
use butt_dial_store::{Call, CallCursor};
use chrono::TimeDelta;
use futures::StreamExt;

use super::{
    conclude::conclude,
    handle::Calls,
    phrases::DEFAULT_LANGUAGE,
    state::{CallState, Responder},
    state_store,
};

/// Longer than callbacks take, and much shorter than a lost call would stay open.
const STALE_AFTER: TimeDelta = TimeDelta::minutes(3);
/// Number of calls in one round.
const BATCH: u32 = 32;
const CONCURRENCY: usize = 8;
/// One replica reconciles. Another one replaces it after this time.
const SWEEP_LEASE: Duration = Duration::from_secs(90);
const CURSOR_TTL: Duration = Duration::from_secs(3_600);

/// Runs one round, if this replica holds the lease. Each round continues after the previous one, so that many long calls do
/// not keep others from being checked. Returns the number of calls that had ended.
pub async fn sweep(calls: &Calls) -> Result<usize, Failure> {
    let unavailable = |error| state_store::unavailable(&error);
    let lease = calls
        .kv
        .acquire(keys::CALL_RECONCILER_LEASE, calls.replica.as_str(), SWEEP_LEASE)
        .await;
    if lease.map_err(unavailable)?.is_none() {
        return Ok(0);
    }
    let cursor = calls.kv.get(keys::CALL_RECONCILER_CURSOR).await.map_err(unavailable)?;
    let cursor: Option<CallCursor> = cursor.and_then(|text| serde_json::from_str(&text).ok());
    let since = calls.clock.now() - STALE_AFTER;
    let (ended, next) = reconcile_stale(calls, since, cursor.as_ref()).await?;
    let stored = match next.and_then(|next| serde_json::to_string(&next).ok()) {
        Some(next) => calls.kv.set(keys::CALL_RECONCILER_CURSOR, &next, CURSOR_TTL).await,
        None => calls.kv.delete(keys::CALL_RECONCILER_CURSOR).await,
    };
    stored.map_err(unavailable)?;
    Ok(ended)
}

/// Checks calls without a report since `unchanged_since`. Returns the number of calls that had ended, and the cursor for the
/// next round. `None`: the next round starts from the beginning.
pub async fn reconcile_stale(
    calls: &Calls,
    unchanged_since: Timestamp,
    after: Option<&CallCursor>,
) -> Result<(usize, Option<CallCursor>), Failure> {
    let stale = calls.store.list_stale_calls(unchanged_since, after, BATCH).await?;
    let is_full = stale.len() == BATCH as usize;
    let next = stale.last().map(CallCursor::from).filter(|_| is_full);
    let ended = futures::stream::iter(stale)
        .map(|call| async move { reconcile(calls, &call).await })
        .buffer_unordered(CONCURRENCY)
        .filter(|ended| std::future::ready(*ended))
        .count()
        .await;
    Ok((ended, next))
}

/// Concludes the call if its carrier reports that it ended. Returns true if it did.
async fn reconcile(calls: &Calls, call: &Call) -> bool {
    let Some((carrier_id, found)) = fetch_ended(calls, call).await else {
        return false;
    };
    let report = build_report(call, carrier_id, found);
    let concluded = conclude_stale(calls, call, &report).await;
    if concluded.is_ok() {
        tracing::info!(call = %call.id, status = ?report.status, "stale call concluded");
    }
    concluded.is_ok()
}

/// Fetches the call from its carrier. `None`: it is live, or the carrier is unavailable. The inner `None`: the carrier does
/// not know the call any more.
async fn fetch_ended<'a>(calls: &Calls, call: &'a Call) -> Option<(&'a str, Option<CarrierCall>)> {
    let carrier_id = call.carrier_id.as_deref()?;
    let voice = calls.find_voice_of_number(&call.carrier, &call.local_number).await;
    let (_, voice) = voice
        .inspect_err(|error| tracing::warn!(%error, call = %call.id, "account of a stale call not read"))
        .ok()??;
    match voice.fetch_call(carrier_id).await {
        Ok(found) => found.status.is_over().then_some((carrier_id, Some(found))),
        Err(ControlError::CallEnded) => Some((carrier_id, None)),
        Err(error) => {
            tracing::warn!(%error, call = %call.id, "carrier lookup of a stale call failed");
            None
        }
    }
}

fn build_report(call: &Call, carrier_id: &str, found: Option<CarrierCall>) -> CallReport {
    let (from, to) = call
        .direction
        .caller_and_callee(call.local_number.clone(), call.remote_number.clone());
    let default_status = match call.answered_at {
        Some(_) => CallStatus::Completed,
        None => CallStatus::Failed,
    };
    CallReport {
        carrier_id: carrier_id.to_owned(),
        direction: call.direction,
        from,
        to,
        status: Some(found.as_ref().map_or(default_status, |found| found.status)),
        sequence: None,
        duration_seconds: found.as_ref().and_then(|found| found.duration_seconds),
        at: found.as_ref().and_then(|found| found.ended_at),
        answered_by: None,
        price: found.and_then(|found| found.price),
        session: None,
        recording: None,
        dialled: None,
        digits: None,
        error_code: None,
    }
}

/// Publishes the report and concludes the call, as for a status callback.
async fn conclude_stale(calls: &Calls, call: &Call, report: &CallReport) -> Result<(), WebhookRefusal> {
    let state = match calls.find_state(&call.id).await {
        Ok(found) => found.unwrap_or_else(|| rebuild_state(call)),
        Err(error) => {
            tracing::warn!(%error, call = %call.id, "stale call not concluded: call state unavailable");
            return Err(WebhookRefusal::Unavailable);
        }
    };
    let envelope = Envelope::call(&state.info, report.clone());
    calls
        .inbound
        .append(&state.info.carrier, &envelope, &Headers::new())
        .await?;
    conclude(calls, &state, report).await
}

/// Rebuilds an expired state from the call's row. The transcript is lost; the agent still learns of the call.
fn rebuild_state(call: &Call) -> CallState {
    let info = CallInfo {
        call: call.id.clone(),
        org: call.org.clone(),
        agent: call.agent.clone(),
        carrier: call.carrier.clone(),
        account: None,
        carrier_id: call.carrier_id.clone(),
        direction: call.direction,
        local: call.local_number.clone(),
        remote: call.remote_number.clone(),
        name: String::new(),
        plan: Plan {
            purpose: Purpose::Converse,
            ..Plan::default()
        },
        language: DEFAULT_LANGUAGE.to_owned(),
        started_at: call.created_at,
        limit_at: call.created_at,
    };
    CallState {
        responder: Responder::Voicemail,
        ..CallState::new(info)
    }
}
