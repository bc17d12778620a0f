//! `serve`, the commands for single roles, and `migrate`.

use butt_dial_accounts::Addresses;
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

/// The roles of `serve`.
pub const ALL_ROLES: [Role; 4] = [GATEWAY, WEBHOOK_INGEST, VOICE_RELAY, DISPATCHER];

/// Serves all roles in one process. With simulated carriers the first run creates an organization and an agent.
pub async fn everything(config: Config) -> Result<bool, StartError> {
    let prepared = prepare(config).await?;
    let product = &prepared.platform.product;
    let first = !product.bootstrap.is_done().await?;
    // Before the first request: a client that waits for /health can use the agent.
    let created = match first && product.simulated_world {
        true => Some(product.bootstrap.run(&Addresses::default()).await?),
        false => None,
    };
    let running = prepared.serve(&ALL_ROLES).await?;
    match &created {
        Some(created) => welcome::first_run(&running, created),
        None => welcome::later_run(&running, first),
    }
    Ok(running.run_until_signal().await)
}

/// Serves a single role, with other processes on the same backends.
pub async fn one(config: Config, role: Role) -> Result<bool, StartError> {
    Ok(start(config, &[role]).await?.run_until_signal().await)
}

pub async fn migrate(config: Config) -> Result<bool, StartError> {
    let tasks = TaskTracker::new();
    let store = Store::connect(&config.database_url, 2, &tasks).await?;
    store.migrate().await?;
    store.close().await;
    println!("The database schema is up to date.");
    Ok(true)
}
