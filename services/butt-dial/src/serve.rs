//! `serve`, `gateway` and `migrate`.

use butt_dial_comms::provisioning::bootstrap::{self, Addresses};
use butt_dial_dispatcher::ROLE as DISPATCHER;
use butt_dial_gateway::ROLE as GATEWAY;
use butt_dial_runtime::{
    Config, Role,
    platform::StartError,
    start::{prepare, start},
};
use butt_dial_store::Store;
use butt_dial_voice_relay::ROLE as VOICE_RELAY;
use butt_dial_webhook_ingest::ROLE as WEBHOOK_INGEST;
use tokio_util::task::TaskTracker;

use crate::welcome;

/// What one process does when it is alone.
pub const ALL_ROLES: [Role; 4] = [GATEWAY, WEBHOOK_INGEST, VOICE_RELAY, DISPATCHER];

/// All roles in one process. The first run makes an organization and an agent.
pub async fn everything(config: Config) -> Result<bool, StartError> {
    let prepared = prepare(config).await?;
    let comms = &prepared.platform.comms;
    let first = !bootstrap::is_done(comms).await?;
    // Before the first request: whoever waits for /health finds an agent.
    let made = match first && comms.settings.simulated_world {
        true => Some(bootstrap::run(comms, &Addresses::default()).await?),
        false => None,
    };
    let running = prepared.serve(&ALL_ROLES).await?;
    match &made {
        Some(made) => welcome::first_run(&running, made),
        None => welcome::again(&running, first),
    }
    Ok(running.until_signalled().await)
}

/// One service by itself, beside others.
pub async fn one(config: Config, role: Role) -> Result<bool, StartError> {
    Ok(start(config, &[role]).await?.until_signalled().await)
}

pub async fn migrate(config: Config) -> Result<bool, StartError> {
    let tasks = TaskTracker::new();
    let store = Store::connect(&config.database_url, 2, &tasks).await?;
    store.migrate().await?;
    store.close().await;
    println!("The database is up to date.");
    Ok(true)
}
