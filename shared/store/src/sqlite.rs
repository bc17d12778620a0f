//! The SQLite file: its connections, and the checkpoints of its write-ahead log.
//!
//! A commit appends to the log. A checkpoint copies the log into the file and syncs both, which takes milliseconds. It has a connection
//! that does nothing else, so that no commit waits for it.

use std::{path::Path, time::Duration};

use sqlx::{
    ConnectOptions, Connection, Executor, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::{
    StoreError,
    engine::Engine,
    sends::sqlite::TEMP_TABLES,
    store::{ACQUIRE_TIMEOUT, STATEMENT_CACHE},
};

/// A negative number is a size in KiB.
const CACHE: &str = "-16384";
/// A power failure loses at most the commits of this time, and those of a checkpoint.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(200);
/// Pages of 4 KiB. SQLite starts the log from its beginning once all of it is copied, which never happens while commits follow each
/// other without a pause. From this size on, the writer copies the rest.
const MAX_LOG: i64 = 8_192;
/// Copies the log as far as no reader needs it. No reader and no writer waits for it. Returns the pages of the log.
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

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
        .after_connect(|connection, _| Box::pin(async { connection.execute(TEMP_TABLES).await.map(drop) }))
        .connect_with(options.clone())
        .await?;
    let read = SqlitePoolOptions::new()
        .max_connections(max_connections.clamp(1, 4))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.clone().read_only(true))
        .await?;
    let checkpointer = Checkpointer::start(options.connect().await?, write.clone(), tasks);
    Ok(Engine::Sqlite {
        read,
        write,
        checkpointer,
    })
}

/// The task that makes checkpoints. It ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Checkpointer {
    stop: mpsc::Sender<oneshot::Sender<()>>,
}

impl Checkpointer {
    fn start(connection: SqliteConnection, writer: SqlitePool, tasks: &TaskTracker) -> Self {
        let (stop, stopped) = mpsc::channel(1);
        tasks.spawn(run(connection, writer, stopped));
        Self { stop }
    }

    /// Ends the task and closes its connection.
    pub async fn stop(&self) {
        let (done, is_done) = oneshot::channel();
        if self.stop.send(done).await.is_ok() {
            // An error: the task has ended already.
            drop(is_done.await);
        }
    }
}

async fn run(mut connection: SqliteConnection, writer: SqlitePool, mut stopped: mpsc::Receiver<oneshot::Sender<()>>) {
    let done = loop {
        match tokio::time::timeout(CHECKPOINT_INTERVAL, stopped.recv()).await {
            Ok(done) => break done,
            Err(_) => {
                if let Err(error) = checkpoint(&mut connection, &writer).await {
                    tracing::warn!(%error, "database checkpoint failed");
                }
            }
        }
    };
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "connection for database checkpoints not closed");
    }
    if done.is_some_and(|done| done.send(()).is_err()) {
        tracing::debug!("the caller did not wait for the last checkpoint");
    }
}

async fn checkpoint(connection: &mut SqliteConnection, writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let (_, pages, _): (i64, i64, i64) = sqlx::query_as(CHECKPOINT).fetch_one(connection).await?;
    if pages > MAX_LOG {
        writer.execute(CHECKPOINT).await?;
    }
    Ok(())
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
