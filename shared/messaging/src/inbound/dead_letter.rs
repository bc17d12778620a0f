//! Dead letters: webhook events that cannot be applied, unchanged, so that an operator can append them to the stream again.

use butt_dial_domain::{
    ports::bus::{BusError, LogEntry},
    subjects,
};

use super::Inbound;

/// Appends an entry to the dead letters. After that, the consumer may advance past it. An entry may be appended twice if the
/// position could not be advanced; replayed twice it still is one event.
pub(super) async fn append_dead_letter(inbound: &Inbound, entry: &LogEntry) -> Result<(), BusError> {
    let id = format!("aside-{}", entry.sequence);
    let (headers, payload) = (entry.message.headers.clone(), entry.message.payload.clone());
    inbound
        .bus
        .append(subjects::INBOUND_DEAD_LETTERS, &id, headers, payload)
        .await
        .map(drop)
}
