//! The two engines, and how a statement reaches the one that is connected.

use std::{path::Path, str::FromStr, time::Duration};

use sqlx::{
    ConnectOptions, Executor, PgPool, Postgres, Sqlite, SqlitePool, Transaction,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio_util::task::TaskTracker;

use crate::{
    StoreError, migrations,
    sends::{self, Batchers},
};

/// How long a caller waits for a connection before the database counts as unavailable.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than the wait for a connection; shorter than any client's patience.
const CALL_DEADLINE: Duration = Duration::from_secs(4);
/// What every connection to Postgres is set to.
const POSTGRES_SETTINGS: [(&str, &str); 3] = [
    // In milliseconds. A statement that runs longer is cut off by Postgres: a stuck one must not hold a pool.
    ("statement_timeout", "5000"),
    // Every statement of ours looks a few rows up, by an index that is there for it. Postgres keeps plans, and one that was made
    // when a table was small, or before anybody had counted its rows, would read all of it after it has grown.
    ("enable_seqscan", "off"),
    // What nothing but a whole table can answer is estimated so dear by this that Postgres would compile machine code for it.
    ("jit", "off"),
];
/// In KiB, as SQLite reads a negative number.
const SQLITE_CACHE: &str = "-16384";
/// In pages of 4 KiB: the log is written back into the file once it has grown so large.
const SQLITE_CHECKPOINT: &str = "4000";

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) engine: Engine,
    pub(crate) groups: Batchers,
}

#[derive(Clone)]
pub(crate) enum Engine {
    Postgres(PgPool),
    /// SQLite has one writer; reads go beside it, thanks to the write-ahead log.
    Sqlite {
        read: SqlitePool,
        write: SqlitePool,
    },
}

/// Runs the same expression with `$db` bound to the pool that reads on the connected engine.
macro_rules! reading {
    ($store:expr, |$db:ident| $body:expr) => {
        match &$store.engine {
            $crate::engine::Engine::Postgres($db) => $crate::engine::in_time(async { $body }).await,
            $crate::engine::Engine::Sqlite { read: $db, .. } => $crate::engine::in_time(async { $body }).await,
        }
    };
}

/// Runs the same expression with `$db` bound to the pool that writes on the connected engine.
macro_rules! writing {
    ($store:expr, |$db:ident| $body:expr) => {
        match &$store.engine {
            $crate::engine::Engine::Postgres($db) => $crate::engine::in_time(async { $body }).await,
            $crate::engine::Engine::Sqlite { write: $db, .. } => $crate::engine::in_time(async { $body }).await,
        }
    };
}

/// Runs the same expression with `$db` bound to the connection of a transaction.
macro_rules! within {
    ($tx:expr, |$db:ident| $body:expr) => {
        match &mut *$tx {
            $crate::engine::Tx::Postgres(tx) => {
                let $db = &mut **tx;
                $body
            }
            $crate::engine::Tx::Sqlite(tx) => {
                let $db = &mut **tx;
                $body
            }
        }
    };
}

pub(crate) use {reading, within, writing};

/// A transaction that writes: for stories that are too long for one expression.
pub(crate) enum Tx {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Tx {
    /// The text for the connected engine, where one text can't serve both.
    pub fn either(&self, postgres: &'static str, sqlite: &'static str) -> &'static str {
        match self {
            Self::Postgres(_) => postgres,
            Self::Sqlite(_) => sqlite,
        }
    }

    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(tx) => tx.commit().await,
            Self::Sqlite(tx) => tx.commit().await,
        }
    }
}

/// Ends the wait for a database that says nothing at all; what it can still say, it says within its own time-outs.
pub(crate) async fn in_time<T, E: From<sqlx::Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    match tokio::time::timeout(CALL_DEADLINE, work).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()),
    }
}

impl Store {
    /// Connects to `sqlite:<path>` (made if missing, with its directory) or `postgres://…`. The shared writes run as tasks of
    /// `tasks`; they end once the last clone of the store is gone.
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
        let groups = Batchers::start(&engine, tasks);
        Ok(Self { engine, groups })
    }

    /// Brings the schema up to date. Safe to run from many processes at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Postgres(pool) => {
                // A large table, or another process that migrates it, takes as long as it takes.
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

    /// Whether the database answers.
    pub async fn check(&self) -> Result<(), StoreError> {
        reading!(self, |db| sqlx::query("SELECT 1").execute(db).await.map(drop))?;
        Ok(())
    }

    /// Connections open and idle, for the metrics.
    pub fn pool_size(&self) -> (u32, usize) {
        match &self.engine {
            Engine::Postgres(db) => (db.size(), db.num_idle()),
            Engine::Sqlite { read, .. } => (read.size(), read.num_idle()),
        }
    }

    /// The text for the connected engine, where one text can't serve both.
    pub(crate) fn either(&self, postgres: &'static str, sqlite: &'static str) -> &'static str {
        match &self.engine {
            Engine::Postgres(_) => postgres,
            Engine::Sqlite { .. } => sqlite,
        }
    }

    pub(crate) async fn begin(&self) -> Result<Tx, sqlx::Error> {
        Ok(match &self.engine {
            Engine::Postgres(pool) => Tx::Postgres(pool.begin().await?),
            Engine::Sqlite { write, .. } => Tx::Sqlite(write.begin_with("BEGIN IMMEDIATE").await?),
        })
    }

    /// The pool of the embedded bus, which keeps its streams in the same file.
    pub fn sqlite_writer(&self) -> Option<&SqlitePool> {
        match &self.engine {
            Engine::Postgres(_) => None,
            Engine::Sqlite { write, .. } => Some(write),
        }
    }

    /// Waits for what is under way and closes the connections.
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
        // A round trip before every use would double the trips of a send; a dead connection shows itself as an error.
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    Ok(Engine::Postgres(pool))
}

async fn connect_sqlite(path: &str, max_connections: u32) -> Result<Engine, StoreError> {
    let path = path.trim_start_matches("//");
    make_private_file(Path::new(path))
        .map_err(|error| StoreError::Config(format!("{path} can't be made ({error}); check DATA_DIR")))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode NORMAL survives a killed process; a power cut may lose the last moments, as on any laptop.
        .synchronous(SqliteSynchronous::Normal)
        // In a file, as is usual, whatever a statement might have to take back would cost it a new file each time.
        .pragma("temp_store", "memory")
        .pragma("cache_size", SQLITE_CACHE)
        .pragma("wal_autocheckpoint", SQLITE_CHECKPOINT)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging();
    let write = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _| Box::pin(async { connection.execute(sends::SCRATCH).await.map(drop) }))
        .connect_with(options.clone())
        .await?;
    let read = SqlitePoolOptions::new()
        .max_connections(max_connections.clamp(1, 4))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options.read_only(true))
        .await?;
    Ok(Engine::Sqlite { read, write })
}

/// For its owner only: messages and addresses are in it. The write-ahead log takes the file's mode.
fn make_private_file(path: &Path) -> std::io::Result<()> {
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
