//! `serve`, the commands for single roles, and `migrate`.

use butt_dial_accounts::Addresses;
use butt_dial_console::ROLE as CONSOLE;
use butt_dial_dispatcher::ROLE as DISPATCHER;
use butt_dial_gateway::ROLE as GATEWAY;
use butt_dial_runtime::{
    Config, Lifecycle, Role,
    platform::{StartError, partitions},
    start::{prepare, start},
    telemetry::ProcessFacts,
};
use butt_dial_store::Store;
use butt_dial_voice_relay::ROLE as VOICE_RELAY;
use butt_dial_webhook_ingest::ROLE as WEBHOOK_INGEST;
use tokio_util::task::TaskTracker;

use crate::{data_lock::DataLock, welcome};

/// The roles of `serve`.
pub const ALL_ROLES: [Role; 5] = [GATEWAY, CONSOLE, WEBHOOK_INGEST, VOICE_RELAY, DISPATCHER];

/// Serves all roles in one process. With simulated carriers the first run creates an organization and an agent.
pub async fn everything(config: Config, facts: &ProcessFacts) -> Result<bool, StartError> {
    let lock = DataLock::acquire(&config)?;
    let Some(prepared) = unless_stopped(prepare(config)).await? else {
        return Ok(true);
    };
    let product = &prepared.platform.product;
    let first = !product.bootstrap.is_done().await?;
    // Before the first request: a client that waits for /health can use the agent.
    let created = match first && product.simulated_world {
        true => Some(product.bootstrap.run(&Addresses::default()).await?),
        false => None,
    };
    let running = prepared.serve(&ALL_ROLES).await?;
    facts.set_replica(running.platform.replica.as_str());
    match &created {
        Some(created) => welcome::first_run(&running, created),
        None => welcome::later_run(&running, first),
    }
    welcome::console(&running).await?;
    welcome::data(&lock);
    Ok(running.run_until_signal().await)
}

/// Serves a single role, with other processes on the same backends.
pub async fn one(config: Config, role: Role, facts: &ProcessFacts) -> Result<bool, StartError> {
    let roles = [role];
    match unless_stopped(start(config, &roles)).await? {
        Some(running) => {
            facts.set_replica(running.platform.replica.as_str());
            Ok(running.run_until_signal().await)
        }
        None => Ok(true),
    }
}

/// Waits for a step of the start. Returns `None` when a signal ends the process before: it may wait for a backend.
async fn unless_stopped<T>(step: impl Future<Output = Result<T, StartError>>) -> Result<Option<T>, StartError> {
    tokio::select! {
        done = step => done.map(Some),
        () = Lifecycle::termination_signal() => {
            tracing::info!("stopped before the start was complete");
            Ok(None)
        }
    }
}

#[derive(clap::Args)]
pub struct MigrateOptions {
    /// Change nothing; fail if a migration is missing.
    #[arg(long)]
    verify: bool,
}

pub async fn migrate(config: Config, options: MigrateOptions) -> Result<bool, StartError> {
    if options.verify && !database_exists(&config.database_url) {
        return Err(StartError::Other(
            "the database does not exist: run `butt-dial migrate`".into(),
        ));
    }
    let tasks = TaskTracker::new();
    let store = Store::connect_with(&config.database(2), &tasks).await?;
    let is_migrated = store.is_migrated().await?;
    if !is_migrated && !options.verify {
        store.migrate().await?;
    }
    store.close().await;
    if options.verify && !is_migrated {
        return Err(StartError::Other(
            "the database lacks migrations of this release: run `butt-dial migrate`".into(),
        ));
    }
    println!("The database schema is up to date.");
    Ok(true)
}

/// Raises the number of partitions of the inbound stream.
pub async fn raise_partitions(config: Config) -> Result<bool, StartError> {
    let (former, count) = partitions::raise(&config).await?;
    if former == count {
        println!("The inbound stream has {count} partitions.");
    } else {
        println!("The inbound stream had {former} partitions, and has {count} now.");
    }
    Ok(true)
}

/// Returns whether the SQLite file exists, which a connection would create.
fn database_exists(url: &str) -> bool {
    match url.strip_prefix("sqlite:") {
        Some(path) => std::path::Path::new(path.trim_start_matches("//")).is_file(),
        None => true,
    }
}
