//! The number of partitions of the inbound stream: the same for all processes of an installation.

use butt_dial_domain::{Clock, ReplicaId, ports::bus::BusError};
use butt_dial_messaging::inbound::{self, Partition, Partitions};
use butt_dial_store::Store;
use tokio_util::task::TaskTracker;

use super::{StartError, bus};
use crate::Config;

/// Returns the number of partitions; the first process registers it. Fails when the installation has another one: entries would be
/// appended where no process reads, or those of an agent would lose their order.
pub(super) async fn check(config: &Config, store: &Store) -> Result<Partitions, StartError> {
    if config.nats_url.is_none() {
        return Ok(Partitions::ONE);
    }
    let wanted = config.inbound_partitions;
    let registered = store
        .register_partitions(wanted.count(), &wanted.names(), Clock::System.now())
        .await?;
    match registered == wanted.count() {
        true => Ok(wanted),
        false => Err(StartError::OtherPartitions {
            registered,
            wanted: wanted.count(),
        }),
    }
}

/// Raises the number of partitions of a stopped installation to the setting. Returns the former and the new number. Refused while
/// entries are unread: later ones of the same agent may be in another partition, and be read before them.
pub async fn raise(config: &Config) -> Result<(u16, u16), StartError> {
    if config.nats_url.is_none() {
        return Err(refused("NATS_URL is not set: an embedded bus has no partitions"));
    }
    let store = Store::connect_with(&config.database(2), &TaskTracker::new()).await?;
    let raised = raise_in(config, &store).await;
    store.close().await;
    raised
}

async fn raise_in(config: &Config, store: &Store) -> Result<(u16, u16), StartError> {
    let wanted = config.inbound_partitions;
    let (count, now) = (wanted.count(), Clock::System.now());
    let registered = store.register_partitions(count, &wanted.names(), now).await?;
    if registered == count {
        return Ok((registered, count));
    }
    if registered > count {
        return Err(refused(&format!(
            "the inbound stream has {registered} partitions, which can't be lowered to {count}: set INBOUND_PARTITIONS higher"
        )));
    }
    let former = Partitions::new(registered);
    let unread = list_unread(config, store, former).await?;
    if !unread.is_empty() {
        return Err(refused(&format!(
            "the inbound stream has unread entries in {}: stop the services that receive messages, and let a dispatcher with \
             INBOUND_PARTITIONS={registered} read them first",
            unread.join(", ")
        )));
    }
    match store.raise_partitions(registered, count, &wanted.names(), now).await? {
        true => Ok((registered, count)),
        false => Err(refused(
            "another process has changed the number of partitions meanwhile: run the command again",
        )),
    }
}

/// Lists the partitions with unread entries.
async fn list_unread(config: &Config, store: &Store, partitions: Partitions) -> Result<Vec<String>, StartError> {
    let unavailable = |error: BusError| StartError::Bus(error.to_string());
    let bus = bus::connect(config, store, &ReplicaId::generate()).await?;
    bus.create_stream(&inbound::STREAM).await.map_err(unavailable)?;
    let mut unread = Vec::new();
    for Partition { name, subject, .. } in partitions.all().into_iter().chain(partitions.former()) {
        let last = bus.last_position(inbound::STREAM.name, &subject).await;
        if last.map_err(unavailable)? > store.find_log_position(&name).await? {
            unread.push(name);
        }
    }
    Ok(unread)
}

fn refused(text: &str) -> StartError {
    StartError::Other(text.to_owned())
}
