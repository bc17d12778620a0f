//! Notices that can't be written down, kept for operators: as they came, so that they can be put back into the stream.

use butt_dial_domain::{
    ports::bus::{BusError, Logged},
    subjects,
};

use crate::Comms;

/// Once this returns, the position may move on. Kept twice when the position could not be moved for longer than the bus
/// remembers ids: put back twice, it still is one event.
pub async fn keep(comms: &Comms, notice: &Logged) -> Result<(), BusError> {
    let id = format!("aside-{}", notice.sequence);
    let (headers, payload) = (notice.message.headers.clone(), notice.message.payload.clone());
    comms
        .bus
        .append(subjects::INBOUND_ASIDE, &id, headers, payload)
        .await
        .map(drop)
}
