//! Connects the bus: NATS, or the embedded one.

use std::sync::Arc;

use butt_dial_bus::{EmbeddedBus, NatsBus};
use butt_dial_domain::{Clock, ReplicaId, ports::bus::Bus};
use butt_dial_store::Store;

use super::StartError;
use crate::Config;

pub(super) async fn connect(config: &Config, store: &Store, replica: &ReplicaId) -> Result<Arc<dyn Bus>, StartError> {
    match (&config.nats_url, store.sqlite_writer()) {
        (Some(url), _) => {
            let bus = NatsBus::connect_with(url, &format!("butt-dial-{replica}"), &config.nats_access).await;
            let bus = bus.map_err(|error| StartError::Bus(error.to_string()))?;
            Ok(Arc::new(bus.with_streams(config.streams)))
        }
        (None, Some(pool)) => {
            let bus = EmbeddedBus::open(pool.clone(), Clock::System).await;
            Ok(Arc::new(bus.map_err(|error| StartError::Bus(error.to_string()))?))
        }
        // `Config` rejects this combination first.
        (None, None) => Err(StartError::Bus("NATS_URL is not set".into())),
    }
}
