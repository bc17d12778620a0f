//! The handle of the database: connection, migrations and pools.

use std::{
    str::FromStr,
    sync::{Arc, OnceLock},
};

use butt_dial_domain::OrgId;
use sqlx::{
    ConnectOptions, Connection, Executor, PgPool, Row, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio_util::task::TaskTracker;

use crate::{
    StoreError,
    engine::{ACQUIRE_TIMEOUT, Engine, STATEMENT_CACHE, Sql, Tx, on_reader, with_timeout},
    migrations, postgres_migrations,
    recent_changes::RecentChanges,
    sends::batchers::Batchers,
    sqlite,
};

/// Settings of every connection to Postgres.
/// - Postgres cancels a statement that runs longer than 5 s, so that a stuck statement does not occupy the pool.
/// - Every statement reads a few rows by an index. Postgres caches plans: a plan made while a table is small, or before its
///   statistics exist, would still scan the whole table after it has grown.
/// - With sequential scans off, the cost estimate of a statement that needs one is high enough to trigger JIT compilation.
const POSTGRES_SETTINGS: &str = "SET statement_timeout = 5000; SET enable_seqscan = off; SET jit = off";

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) engine: Engine,
    pub(crate) batchers: Batchers,
    pub(crate) changes: RecentChanges,
    pub(crate) hasher: Arc<OnceLock<ContactHasher>>,
}

/// Makes the keyed hash of a person's key, by which opt-outs of erased persons are found.
pub(crate) type ContactHasher = Box<dyn Fn(&OrgId, &str) -> [u8; 32] + Send + Sync>;

impl Store {
    /// Connects to `sqlite:<path>` (created if missing, with its directory) or `postgres://…`. The tasks for group commit
    /// and the checkpoints of SQLite run in `tasks`, and end when the last clone of the store is dropped.
    pub async fn connect(url: &str, max_connections: u32, tasks: &TaskTracker) -> Result<Self, StoreError> {
        let engine = if let Some(path) = url.strip_prefix("sqlite:") {
            sqlite::connect(path, max_connections, tasks).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            connect_postgres(url, max_connections).await?
        } else {
            return Err(StoreError::Config(
                "DATABASE_URL must begin with sqlite: or postgres://".into(),
            ));
        };
        let batchers = Batchers::start(&engine, tasks);
        Ok(Self {
            engine,
            batchers,
            changes: RecentChanges::default(),
            hasher: Arc::default(),
        })
    }

    /// Sets the keyed hash of persons. Without it, no contact can be read: an erased person could be contacted again. Later calls
    /// have no effect.
    pub fn hash_contacts_with(&self, hasher: impl Fn(&OrgId, &str) -> [u8; 32] + Send + Sync + 'static) {
        // An error means that it is set already.
        let _ = self.hasher.set(Box::new(hasher));
    }

    /// Returns the keyed hash of a person's key.
    pub(crate) fn contact_digest(&self, org: &OrgId, key: &str) -> Result<[u8; 32], StoreError> {
        let hasher = self.hasher.get();
        let hasher = hasher.ok_or_else(|| StoreError::Config("the keyed hash of contacts is not set".into()))?;
        Ok(hasher(org, key))
    }

    /// Applies the missing migrations. Safe to run from many processes at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Postgres(pool) => postgres_migrations::run(pool, migrations::STEPS).await?,
            Engine::Sqlite { write, .. } => {
                // A change of a table fails on a connection with triggers that use columns of later migrations.
                let mut connection = write.connect_options().connect().await?;
                migrations::for_sqlite().run(&mut connection).await?;
                connection.close().await?;
            }
        }
        Ok(())
    }

    /// Returns whether all migrations of this program are applied. Changes nothing.
    pub async fn is_migrated(&self) -> Result<bool, StoreError> {
        const HAS_TABLE: Sql = Sql {
            postgres: "SELECT COUNT(*) FROM pg_tables WHERE schemaname = ANY (current_schemas(false))
                AND tablename = '_sqlx_migrations'",
            sqlite: "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'",
        };
        const APPLIED: &str = "SELECT COUNT(*) FROM _sqlx_migrations WHERE success AND version <= $1";
        let sql = self.sql(HAS_TABLE);
        let tables: i64 = on_reader!(self, |db| sqlx::query_scalar(sql).fetch_one(db).await)?;
        if tables == 0 {
            return Ok(false);
        }
        let newest = migrations::newest();
        let applied: i64 = on_reader!(self, |db| sqlx::query_scalar(APPLIED).bind(newest).fetch_one(db).await)?;
        Ok(applied >= migrations::count())
    }

    /// Fails when the database does not answer, or accepts no writes: a standby after a fail-over, or a full disk.
    pub async fn check(&self) -> Result<(), StoreError> {
        match &self.engine {
            Engine::Postgres(db) => {
                let read_only = with_timeout(sqlx::query_scalar("SHOW transaction_read_only").fetch_one(db));
                let read_only: String = read_only.await.map_err(StoreError::from)?;
                if read_only == "on" {
                    return Err(StoreError::ReadOnly);
                }
            }
            Engine::Sqlite { read, .. } => {
                let answered = with_timeout(sqlx::query("SELECT 1").execute(read));
                answered.await.map_err(StoreError::from)?;
            }
        }
        Ok(())
    }

    /// Returns the number of connections that this process may open.
    pub fn connection_limit(&self) -> u32 {
        match &self.engine {
            Engine::Postgres(db) => db.options().get_max_connections(),
            Engine::Sqlite { read, .. } => read.options().get_max_connections(),
        }
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
            Engine::Sqlite {
                read,
                contacts,
                write,
                checkpointer,
            } => {
                checkpointer.stop().await;
                contacts.close().await;
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
        .statement_cache_capacity(STATEMENT_CACHE)
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A test before every use would double the round trips of a send. A broken connection causes an error anyway.
        .test_before_acquire(false)
        // Not as options of the connection: pgbouncer refuses them.
        .after_connect(|connection, _| Box::pin(async { connection.execute(POSTGRES_SETTINGS).await.map(drop) }))
        .connect_with(options.clone())
        .await?;
    reject_shared_sessions(&pool, &options).await?;
    Ok(Engine::Postgres(pool))
}

/// Fails behind a pooler that gives every transaction another session (pgbouncer with `pool_mode=transaction`): prepared
/// statements, settings and locks of a session would be those of other clients. Two connections that are open at the same time
/// have different sessions otherwise.
async fn reject_shared_sessions(pool: &PgPool, options: &PgConnectOptions) -> Result<(), StoreError> {
    const SESSION: &str = "SELECT pg_backend_pid()";
    let mut first = pool.acquire().await?;
    let Ok(second) = tokio::time::timeout(ACQUIRE_TIMEOUT, options.connect()).await else {
        // A full pooler. It does not share sessions, otherwise it would not wait for one.
        return Ok(());
    };
    let mut second = second?;
    // Simple queries: a prepared statement is what such a pooler breaks.
    let one = first.fetch_one(SESSION).await?.try_get::<i32, _>(0)?;
    let other = second.fetch_one(SESSION).await?.try_get::<i32, _>(0)?;
    second.close().await?;
    if one == other {
        return Err(StoreError::Config(
            "DATABASE_URL leads to a pooler that shares sessions between clients (pgbouncer with pool_mode=transaction or \
             statement), which is not supported. Set pool_mode=session in pgbouncer, or connect to Postgres directly"
                .into(),
        ));
    }
    Ok(())
}
