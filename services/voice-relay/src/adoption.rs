//! Calls of relays that vanished without closing their sockets: the carrier may not notice for long, so it is told to open
//! another one. What a relay leaves that merely crashed, the carrier brings by itself (`action`).

use butt_dial_comms::{
    Comms,
    calls::{
        relays::{self, Missing},
        script, state,
    },
};
use butt_dial_domain::{
    CallId, ReplicaId,
    ports::{kv::KvError, voice::ControlError},
};

pub async fn beat_and_adopt(comms: &Comms, missing: &Missing) {
    if let Err(error) = relays::beat(comms).await {
        tracing::warn!(%error, "this relay can't say that it lives; its calls may be taken over");
        return;
    }
    match relays::find_orphans(comms, missing).await {
        Ok(orphans) => {
            for (relay, call) in orphans {
                if let Err(error) = adopt(comms, &relay, &call).await {
                    tracing::warn!(%error, %call, "an orphaned call can't be looked at; it is tried again");
                }
            }
        }
        Err(error) => tracing::warn!(%error, "calls of relays that vanished can't be looked for"),
    }
}

async fn adopt(comms: &Comms, relay: &ReplicaId, call: &CallId) -> Result<(), KvError> {
    let Some(state) = state::find(comms, call).await? else {
        return relays::forget(comms, relay, call).await;
    };
    // The carrier may have brought it to another relay already.
    let is_orphan = state.ended.is_none() && state.owner.as_ref() == Some(relay);
    let facts = &state.facts;
    let voice = comms.carriers.find_voice(&facts.carrier);
    if let Some(((_, voice), carrier_id)) = voice.zip(facts.carrier_id.as_ref()).filter(|_| is_orphan) {
        let script = script::converse(comms, &state).await?;
        match voice.redirect(carrier_id, &script).await {
            Ok(()) => tracing::info!(%call, from = %relay, "a call of a relay that vanished is taken over"),
            Err(ControlError::Over) => tracing::info!(%call, "an orphaned call is over"),
            Err(error) => {
                // The next look finds it again.
                tracing::warn!(%error, %call, "an orphaned call can't be taken over yet");
                return Ok(());
            }
        }
    }
    relays::forget(comms, relay, call).await
}
