//! The connections to Postgres: their settings, TLS, and the check of what a pooler allows.

use std::{path::Path, str::FromStr};

use sqlx::{
    ConnectOptions, Connection, Executor, PgPool, Row,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{PgDatabase, Pooler};
use crate::{
    StoreError,
    engine::{ACQUIRE_TIMEOUT, Engine, STATEMENT_CACHE},
    store::DatabaseSettings,
};

/// Settings of every connection to Postgres.
/// - Postgres cancels a statement that runs longer than 5 s, so that a stuck statement does not occupy the pool.
/// - Every statement reads a few rows by an index. Postgres caches plans: a plan made while a table is small, or before its
///   statistics exist, would still scan the whole table after it has grown.
/// - With sequential scans off, the cost estimate of a statement that needs one is high enough to trigger JIT compilation.
const SESSION_SETTINGS: &str = "SET statement_timeout = 5000; SET enable_seqscan = off; SET jit = off";
/// The same as properties of the role: behind a pooler that shares sessions, a SET would reach those of other clients.
const ROLE_SETTINGS: &str = "ALTER ROLE current_user SET statement_timeout = '5s'; ALTER ROLE current_user SET enable_seqscan = off; \
     ALTER ROLE current_user SET jit = off";

pub(crate) async fn connect(settings: &DatabaseSettings) -> Result<Engine, StoreError> {
    let options = options(&settings.url)?;
    let pool = PgPoolOptions::new()
        .max_connections(settings.max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A test before every use would double the round trips of a send. A broken connection causes an error anyway.
        .test_before_acquire(false);
    let pooler = settings.pooler;
    let pool = match pooler {
        Pooler::None => {
            // Not as options of the connection: pgbouncer refuses them.
            let pool = pool.after_connect(|connection, _| {
                Box::pin(async { connection.execute(SESSION_SETTINGS).await.map(drop) })
            });
            let pool = pool.connect_with(options.clone()).await?;
            reject_shared_sessions(&pool, &options).await?;
            pool
        }
        // No statement has a name.
        Pooler::Transaction => pool.connect_with(options.statement_cache_capacity(0)).await?,
    };
    let database = PgDatabase { pool, pooler };
    if pooler == Pooler::Transaction {
        check_role_settings(&database).await?;
    }
    Ok(Engine::Postgres(database))
}

fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::Config("DATABASE_URL is not a valid postgres:// address".into()))?
        .application_name("butt-dial")
        .statement_cache_capacity(STATEMENT_CACHE)
        .disable_statement_logging();
    // As all other clients of TLS in the program. `sslrootcert` takes precedence.
    let names_authority = url.contains("sslrootcert=") || std::env::var_os("PGSSLROOTCERT").is_some();
    let Some(file) = std::env::var_os("SSL_CERT_FILE").filter(|file| !file.is_empty() && !names_authority) else {
        return Ok(options);
    };
    let file = Path::new(&file);
    std::fs::File::open(file).map_err(|error| {
        StoreError::Config(format!(
            "the file {} (SSL_CERT_FILE) can't be read: {error}",
            file.display()
        ))
    })?;
    Ok(options.ssl_root_cert(file))
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
             statement). Set DATABASE_POOLER=transaction for pool_mode=transaction, set pool_mode=session in pgbouncer, or \
             connect to Postgres directly"
                .into(),
        ));
    }
    Ok(())
}

/// Fails unless the role has the settings that a connection can't have behind a pooler that shares sessions. The values that a
/// session starts with count: another client may have changed those of the session.
async fn check_role_settings(database: &PgDatabase) -> Result<(), StoreError> {
    const SQL: &str = "SELECT COUNT(*) = 3 FROM pg_settings WHERE (name = 'statement_timeout' AND reset_val <> '0')
        OR (name IN ('enable_seqscan', 'jit') AND reset_val = 'off')";
    let agree: bool = sqlx::query_scalar(SQL).fetch_one(database).await?;
    if agree {
        return Ok(());
    }
    Err(StoreError::Config(format!(
        "DATABASE_POOLER is transaction, so the settings of sessions belong to the role. As this role, run: {ROLE_SETTINGS}. Then \
         close the connections of the pooler (RECONNECT in the console of pgbouncer)"
    )))
}
