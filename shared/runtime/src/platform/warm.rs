//! Work that the first message of a process would otherwise wait for: tables of numbers, places and patterns are read from their texts.

use butt_dial_domain::{Address, Channel, destination::Destination};
use tokio::task::JoinHandle;

/// Reads the tables that a send uses, beside the connecting of the backends.
pub(super) fn start() -> JoinHandle<()> {
    tokio::task::spawn_blocking(|| {
        // The metadata of numbers.
        if let Ok(address) = Address::parse(Channel::Sms, "+14155550100") {
            Destination::of(&address);
        }
        butt_dial_compliance::read_tables();
    })
}

/// Reads the tables of words that a received message needs. No start waits for them.
pub(super) fn start_words() {
    tokio::task::spawn_blocking(butt_dial_messaging::inbound::read_tables);
}
