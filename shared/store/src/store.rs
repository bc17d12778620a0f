//! The handle of the database: connection, migrations and pools.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use butt_dial_domain::OrgId;
use sqlx::{ConnectOptions, Connection, SqlitePool};
use tokio_util::task::TaskTracker;

use crate::{
    StoreError,
    engine::{Engine, Sql, Tx, on_reader, with_timeout},
    migrations,
    postgres::{self, Pooler, ReplicaStatus},
    postgres_migrations,
    recent_changes::RecentChanges,
    sends::batchers::Batchers,
    sqlite, sqlite_schema,
};

/// How to connect to the database.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// `sqlite:<path>` or `postgres://…`.
    pub url: String,
    pub max_connections: u32,
    pub pooler: Pooler,
    /// A replica of Postgres, for lists and exports.
    pub read: Option<ReadSettings>,
}

/// How to read from a replica.
#[derive(Clone, Debug)]
pub struct ReadSettings {
    /// `postgres://…`.
    pub url: String,
    /// The primary answers while the data of the replica is older.
    pub max_lag: Duration,
}

/// The state of the connections of this process. The waits are those for Postgres.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolStatus {
    pub open: u32,
    /// Open and not in use.
    pub idle: usize,
    /// Statements that wait for a connection.
    pub waiting: u64,
    /// Waits for a connection that have ended since the start, and their sum.
    pub waits: u64,
    pub waited: Duration,
}

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
        let settings = DatabaseSettings {
            url: url.to_owned(),
            max_connections,
            pooler: Pooler::None,
            read: None,
        };
        Self::connect_with(&settings, tasks).await
    }

    /// Connects like `connect`, with all settings.
    pub async fn connect_with(settings: &DatabaseSettings, tasks: &TaskTracker) -> Result<Self, StoreError> {
        let url = &settings.url;
        let engine = if let Some(path) = url.strip_prefix("sqlite:") {
            sqlite::connect(path, settings.max_connections, tasks).await?
        } else if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            postgres::connect(settings, tasks).await?
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

    /// Returns the store of another process on the same database, for the simulation. Its tasks run on the current runtime.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn of_process(&self, tasks: &TaskTracker) -> Self {
        Self {
            engine: self.engine.clone(),
            batchers: Batchers::start(&self.engine, tasks),
            changes: RecentChanges::default(),
            hasher: self.hasher.clone(),
        }
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
            // Processes take turns by a lock of their session.
            Engine::Postgres(db) if db.pooler == Pooler::Transaction => {
                return Err(StoreError::Config(
                    "migrations are not possible through a pooler that shares sessions: run `butt-dial migrate` with DATABASE_URL \
                     of Postgres itself and DATABASE_POOLER=none"
                        .into(),
                ));
            }
            Engine::Postgres(db) => postgres_migrations::run(&db.pool, migrations::STEPS).await?,
            Engine::Sqlite { write, .. } => {
                // A change of a table fails on a connection with triggers that use columns of later migrations.
                let mut connection = write.connect_options().connect().await?;
                sqlite_schema::create(&mut connection).await?;
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
            Engine::Postgres(db) => db.pool.options().get_max_connections(),
            Engine::Sqlite { read, .. } => read.options().get_max_connections(),
        }
    }

    /// Returns the state of the connections, for the metrics.
    pub fn pool_status(&self) -> PoolStatus {
        match &self.engine {
            Engine::Postgres(db) => {
                let (waits, waited) = db.waits.ended();
                PoolStatus {
                    open: db.pool.size(),
                    idle: db.pool.num_idle(),
                    waiting: db.waits.waiting(),
                    waits,
                    waited,
                }
            }
            Engine::Sqlite { read, .. } => PoolStatus {
                open: read.size(),
                idle: read.num_idle(),
                ..PoolStatus::default()
            },
        }
    }

    /// Returns the state of the replica for lists. `None`: there is none.
    pub fn replica_status(&self) -> Option<ReplicaStatus> {
        match &self.engine {
            Engine::Postgres(db) => Some(db.lists()?.state.status()),
            Engine::Sqlite { .. } => None,
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
            Engine::Postgres(db) => Tx::Postgres(db.begin().await?),
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
            Engine::Postgres(db) => {
                if let Some(lists) = db.lists() {
                    lists.database.pool.close().await;
                }
                db.pool.close().await;
            }
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
