//! Background work of a relay: its heartbeat, the check for stalls, and the takeover of orphaned calls.

use std::time::Duration;

use butt_dial_calls::relay_registry::{ExpiredRelays, HEARTBEAT_INTERVAL, Heartbeat, RegistryState};
use tokio::time::sleep;

use crate::{Relay, takeover::take_over_orphaned_calls};

/// Interval of the check for stalls.
const STALL_CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// Runs until the relay drains and its last session has ended: without a heartbeat, other relays take over its calls.
/// Takeover runs in parallel, because it must not delay the heartbeat.
pub async fn run_heartbeat(relay: Relay, heartbeat: Heartbeat) {
    tokio::select! {
        () = send_heartbeats(&relay, heartbeat) => {}
        () = take_over_calls(&relay) => {}
        () = check_for_stalls(&relay) => {}
        () = last_session_ended(&relay) => {}
    }
}

async fn send_heartbeats(relay: &Relay, mut heartbeat: Heartbeat) {
    loop {
        sleep(HEARTBEAT_INTERVAL).await;
        match heartbeat.renew(&relay.calls).await {
            Ok(RegistryState::Kept) => {}
            Ok(RegistryState::Lost) => {
                tracing::warn!("relay registry lost data: calls are registered again");
                relay.registry_reset.send_replace(());
            }
            Err(error) => tracing::warn!(%error, "relay heartbeat failed: other relays may take over its calls"),
        }
    }
}

async fn take_over_calls(relay: &Relay) {
    let expired = ExpiredRelays::default();
    loop {
        sleep(HEARTBEAT_INTERVAL).await;
        take_over_orphaned_calls(&relay.calls, &expired).await;
    }
}

async fn check_for_stalls(relay: &Relay) {
    loop {
        sleep(STALL_CHECK_INTERVAL).await;
        relay.stall_detector.beat();
    }
}

async fn last_session_ended(relay: &Relay) {
    relay.lifecycle.draining().cancelled().await;
    relay.sessions.close();
    relay.sessions.wait().await;
}
