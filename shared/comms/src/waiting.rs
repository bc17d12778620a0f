//! Messages that wait for an agent: the durable log, read destructively, oldest first.

use butt_dial_domain::{AgentId, Channel, Failure};
use butt_dial_store::Event;

use crate::{Comms, store_failure};

/// The most that one call hands out.
pub const MAX: u32 = 200;

pub async fn take(comms: &Comms, agent: &AgentId, channel: Option<Channel>, limit: u32) -> Result<Vec<Event>, Failure> {
    let limit = limit.clamp(1, MAX);
    comms
        .store
        .take_waiting_events(agent, channel, limit, comms.clock.now())
        .await
        .map_err(store_failure)
}
