//! The handle of the database: connection, migrations and pools.

use std::{path::Path, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Executor, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio_util::task::TaskTracker;

use crate::{
    StoreError,
    engine::{Engine, Sql, Tx, on_reader},
    migrations,
    sends::{batchers::Batchers, sqlite::TEMP_TABLES},
};

/// The longest wait for a connection before the database counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Settings of every connection to Postgres.
const POSTGRES_SETTINGS: [(&str, &str); 3] = [
    // Milliseconds. Postgres cancels a statement that runs longer, so that a stuck statement does not occupy the pool.
    ("statement_timeout", "5000"),
    // Every statement reads a few rows by an index. Postgres caches plans: a plan made while a table is small, or before
    // its statistics exist, would still scan the whole table after it has grown.
    ("enable_seqscan", "off"),
    // With sequential scans off, the cost estimate of a statement that needs one is high enough to trigger JIT compilation.
    ("jit", "off"),
];
/// A negative number is a size in KiB for SQLite.
const SQLITE_CACHE: &str = "-16384";
/// Pages of 4 KiB. SQLite copies the write-ahead log into the database file once the log has this size.
const SQLITE_CHECKPOINT: &str = "4000";

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) engine: Engine,
    pub(crate) batchers: Batchers,
}

impl Store {
    /// Connects to `sqlite:<path>` (created if missing, with its directory) or `postgres://…`. The tasks for group commit run
    /// in `tasks` and end when the last clone of the store is dropped.
    pub async fn connect(url: &str, max_connections: u32, tasks: &TaskTracker) -> Result<Self, StoreError> {
        let engine = if let Some(path) = url.strip_prefix("sqlite:") {
            connect_sqlite(path, max_connections).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            connect_postgres(url, max_connections).await?
        } else {
            return Err(StoreError::Config(
                "DATABASE_URL must begin with sqlite: or postgres://".into(),
            ));
        };
        let batchers = Batchers::start(&engine, tasks);
        Ok(Self { engine, batchers })
    }

    /// Applies the missing migrations. Safe to run from many processes at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Postgres(pool) => {
                // No time limit: a large table, or the wait for another process that migrates, may take long.
                let mut connection = pool.acquire().await?;
                connection.close_on_drop();
                sqlx::query("SET statement_timeout = 0")
                    .execute(&mut *connection)
                    .await?;
                migrations::for_postgres().run(&mut *connection).await?;
            }
            Engine::Sqlite { write, .. } => migrations::for_sqlite().run(write).await?,
        }
        Ok(())
    }

    /// Fails when the database does not answer.
    pub async fn check(&self) -> Result<(), StoreError> {
        on_reader!(self, |db| sqlx::query("SELECT 1").execute(db).await.map(drop))?;
        Ok(())
    }

    /// Returns the number of open and of idle connections, for the metrics.
    pub fn pool_size(&self) -> (u32, usize) {
        match &self.engine {
            Engine::Postgres(db) => (db.size(), db.num_idle()),
            Engine::Sqlite { read, .. } => (read.size(), read.num_idle()),
        }
    }

    /// Returns the statement for the connected engine.
    pub(crate) fn sql(&self, sql: Sql) -> &'static str {
        match &self.engine {
            Engine::Postgres(_) => sql.postgres,
            Engine::Sqlite { .. } => sql.sqlite,
        }
    }

    pub(crate) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(match &self.engine {
            Engine::Postgres(pool) => Tx::Postgres(pool.begin().await?),
            Engine::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
        })
    }

    /// Returns the write pool for the embedded bus, which keeps its streams in the same file. `None` on Postgres.
    pub fn sqlite_writer(&self) -> Option<&SqlitePool> {
        match &self.engine {
            Engine::Postgres(_) => None,
            Engine::Sqlite { write, .. } => Some(write),
        }
    }

    /// Waits for running statements and closes the connections.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Postgres(pool) => pool.close().await,
            Engine::Sqlite { read, write } => {
                read.close().await;
                write.close().await;
            }
        }
    }
}

async fn connect_postgres(url: &str, max_connections: u32) -> Result<Engine, StoreError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::Config("DATABASE_URL is not a valid postgres:// address".into()))?
        .application_name("butt-dial")
        .options(POSTGRES_SETTINGS)
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A test before every use would double the round trips of a send. A broken connection causes an error anyway.
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    Ok(Engine::Postgres(pool))
}

async fn connect_sqlite(path: &str, max_connections: u32) -> Result<Engine, StoreError> {
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
        .pragma("cache_size", SQLITE_CACHE)
        .pragma("wal_autocheckpoint", SQLITE_CHECKPOINT)
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
        .connect_with(options.read_only(true))
        .await?;
    Ok(Engine::Sqlite { read, write })
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
