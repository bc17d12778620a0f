//! The connections to the SQLite file.

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions, Executor,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio_util::task::TaskTracker;

use crate::{
    StoreError,
    checkpoints::Checkpointer,
    engine::{ACQUIRE_TIMEOUT, Engine, STATEMENT_CACHE},
    kept_connection::KeptConnection,
    sends::sqlite::TEMP_SCHEMA,
};

/// A negative number is a size in KiB.
const CACHE: &str = "-16384";

/// Opens the file, which is created if it is missing, with its directory.
pub(crate) async fn connect(path: &str, max_connections: u32, tasks: &TaskTracker) -> Result<Engine, StoreError> {
    let path = path.trim_start_matches("//");
    create_private_file(Path::new(path))
        .map_err(|error| StoreError::Config(format!("{path} cannot be created ({error}); check DATA_DIR")))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode, NORMAL survives a killed process. A power failure may lose the last commits.
        .synchronous(SqliteSynchronous::Normal)
        // The default, a file, costs each statement that may have to roll back a new temporary file.
        .pragma("temp_store", "memory")
        .pragma("cache_size", CACHE)
        .pragma("wal_autocheckpoint", "0")
        .statement_cache_capacity(STATEMENT_CACHE)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging();
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A test before every use is a round trip to the thread of the connection, which takes as long as a statement.
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(async { connection.execute(TEMP_SCHEMA).await.map(drop) }))
        .connect_with(options.clone())
        .await?;
    let read = SqlitePoolOptions::new()
        .max_connections(max_connections.clamp(1, 4))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .connect_with(options.clone().read_only(true))
        .await?;
    let checkpointer = Checkpointer::start(options.connect().await?, write.clone(), tasks);
    Ok(Engine::Sqlite {
        read,
        contacts: Arc::new(KeptConnection::new(options.read_only(true))),
        write,
        checkpointer,
    })
}

/// Creates the file, readable by its owner only: it holds messages and addresses. The write-ahead log inherits its mode.
fn create_private_file(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if let Some(directory) = path.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map(drop)
}
