//! Takes over the calls of relays that vanished without closing their sockets. The carrier may not notice that for long, so it
//! is instructed to open another socket. After a mere crash the sockets close, and the carrier does so automatically.

use std::time::Duration;

use butt_dial_calls::{
    Calls,
    relay_registry::{self, ExpiredRelays, TAKEOVER_LEASE},
    script,
};
use butt_dial_domain::{
    CallId, ReplicaId,
    ports::{kv::KvError, voice::ControlError},
};
use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout};

/// Number of concurrent takeovers.
const CONCURRENCY: usize = 16;
/// Timeout of a request to the carrier. The next round repeats it.
const REDIRECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Takeovers start within this time. The next round may then find the rest again.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// All takeovers of a round end before the lease of the vanished relay's calls expires.
const _: () = assert!(START_TIMEOUT.as_secs() + 2 * REDIRECT_TIMEOUT.as_secs() < TAKEOVER_LEASE.as_secs());

pub async fn take_over_orphaned_calls(calls: &Calls, expired: &ExpiredRelays) {
    let started = Instant::now();
    let orphaned = match relay_registry::find_orphaned_calls(calls, expired).await {
        Ok(orphaned) => orphaned,
        Err(error) => return tracing::warn!(%error, "search for orphaned calls failed"),
    };
    let in_time = orphaned.into_iter().take_while(|_| started.elapsed() < START_TIMEOUT);
    stream::iter(in_time)
        .for_each_concurrent(CONCURRENCY, |(relay, call)| async move {
            if let Err(error) = take_over(calls, &relay, &call).await {
                tracing::warn!(%error, %call, "call takeover failed: it is repeated");
            }
        })
        .await;
}

async fn take_over(calls: &Calls, relay: &ReplicaId, call: &CallId) -> Result<(), KvError> {
    let Some(state) = calls.find_state(call).await? else {
        return relay_registry::remove_orphan(calls, relay, call).await;
    };
    // The carrier may have connected the call to another relay. A call that was transferred or is being recorded must not
    // be interrupted.
    let is_orphaned = state.is_live() && !state.is_session_closed_by_us && state.owner.as_ref() == Some(relay);
    let voice = match calls.find_voice(&state.info).await {
        Ok(voice) => voice,
        Err(error) => {
            tracing::warn!(%error, %call, "carrier of an orphaned call not found: it is repeated");
            return Ok(());
        }
    };
    if let Some(((_, voice), carrier_id)) = voice.zip(state.info.carrier_id.as_ref()).filter(|_| is_orphaned) {
        let script = script::connect_relay(calls, &state).await?;
        let redirected = timeout(REDIRECT_TIMEOUT, voice.redirect(carrier_id, &script)).await;
        match redirected.unwrap_or(Err(ControlError::Unreachable)) {
            Ok(()) => {
                calls.metrics().record_takeover();
                tracing::info!(%call, from = %relay, "orphaned call taken over");
            }
            Err(ControlError::CallEnded) => tracing::info!(%call, "orphaned call is over"),
            Err(ControlError::Refused(code)) => {
                // A repetition would be refused as well. The carrier opens another socket when it finds the old one broken.
                tracing::warn!(code, %call, "takeover of an orphaned call refused by carrier");
            }
            Err(error @ ControlError::Unreachable) => {
                tracing::warn!(%error, %call, "takeover of an orphaned call failed: it is repeated");
                return Ok(());
            }
        }
    }
    relay_registry::remove_orphan(calls, relay, call).await
}
