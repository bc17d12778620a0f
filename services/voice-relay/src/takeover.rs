//! Calls of relays that vanished without closing their sockets: the carrier may not notice for long, so it is told to open
//! another one. What a relay leaves that merely crashed, the carrier brings by itself (`action`).

use std::time::Duration;

use butt_dial_comms::{
    Comms,
    calls::{
        relay_registry::{self, ExpiredRelays},
        script, state,
    },
};
use butt_dial_domain::{
    CallId, ReplicaId,
    ports::{kv::KvError, voice::ControlError},
};
use futures::{StreamExt, stream};
use tokio::time::{Instant, timeout};

/// Orphans that are taken care of at the same time.
const AT_ONCE: usize = 16;
/// A carrier that is asked to redirect a call, and says nothing. It is asked again with the next look.
const REDIRECTED_WITHIN: Duration = Duration::from_secs(5);
/// Only so long after a look others are begun with: the next look is entitled to them again.
const BEGUN_WITHIN: Duration = Duration::from_secs(15);
/// What was begun is over, with what the store takes, before somebody else may begin.
const _: () =
    assert!(BEGUN_WITHIN.as_secs() + 2 * REDIRECTED_WITHIN.as_secs() < relay_registry::TAKEOVER_LEASE.as_secs());

pub async fn take_over_orphaned_calls(comms: &Comms, missing: &ExpiredRelays) {
    let begun = Instant::now();
    let orphans = match relay_registry::find_orphaned_calls(comms, missing).await {
        Ok(orphans) => orphans,
        Err(error) => return tracing::warn!(%error, "calls of relays that vanished can't be looked for"),
    };
    let in_time = orphans.into_iter().take_while(|_| begun.elapsed() < BEGUN_WITHIN);
    stream::iter(in_time)
        .for_each_concurrent(AT_ONCE, |(relay, call)| async move {
            if let Err(error) = adopt(comms, &relay, &call).await {
                tracing::warn!(%error, %call, "an orphaned call can't be looked at; it is tried again");
            }
        })
        .await;
}

async fn adopt(comms: &Comms, relay: &ReplicaId, call: &CallId) -> Result<(), KvError> {
    let Some(state) = state::find(comms, call).await? else {
        return relay_registry::remove_orphan(comms, relay, call).await;
    };
    // The carrier may have brought it to another relay already; or the caller talks with somebody else by now, or into a
    // recorder, and is not to be torn out of that.
    let is_orphan = state.ended.is_none() && !state.is_session_closed_by_us && state.owner.as_ref() == Some(relay);
    let info = &state.info;
    let voice = comms.carriers.find_voice(&info.carrier);
    if let Some(((_, voice), carrier_id)) = voice.zip(info.carrier_id.as_ref()).filter(|_| is_orphan) {
        let script = script::connect_relay(comms, &state).await?;
        let redirected = timeout(REDIRECTED_WITHIN, voice.redirect(carrier_id, &script)).await;
        match redirected.unwrap_or(Err(ControlError::Unreachable)) {
            Ok(()) => tracing::info!(%call, from = %relay, "a call of a relay that vanished is taken over"),
            Err(ControlError::CallEnded) => tracing::info!(%call, "an orphaned call is over"),
            Err(ControlError::Refused(code)) => {
                // It would refuse again; should the carrier find the old socket broken, it brings the call by itself.
                tracing::warn!(code, %call, "an orphaned call can't be taken over");
            }
            Err(error @ ControlError::Unreachable) => {
                // The next look finds it again.
                tracing::warn!(%error, %call, "an orphaned call can't be taken over yet");
                return Ok(());
            }
        }
    }
    relay_registry::remove_orphan(comms, relay, call).await
}
