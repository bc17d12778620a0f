//! The connection to Postgres, and the check of what a pooler allows.

use std::sync::Arc;

use sqlx::{ConnectOptions, Connection, Executor, PgPool, Row, postgres::PgConnectOptions};

use tokio_util::task::TaskTracker;

use super::{PgDatabase, Pooler, Statements, pool, replica};
use crate::{
    StoreError,
    engine::{ACQUIRE_TIMEOUT, Engine},
    store::DatabaseSettings,
};

/// The settings of each session as properties of the role: behind a pooler that shares sessions, a SET would reach those of other clients.
const ROLE_SETTINGS: &str = "ALTER ROLE current_user SET statement_timeout = '5s'; ALTER ROLE current_user SET enable_seqscan = off; \
     ALTER ROLE current_user SET jit = off";

pub(crate) async fn connect(settings: &DatabaseSettings, tasks: &TaskTracker) -> Result<Engine, StoreError> {
    let options = pool::connection(&settings.url, "DATABASE_URL")?;
    let pool = pool::sized(settings.max_connections);
    let pooler = settings.pooler;
    let (pool, statements) = match pooler {
        Pooler::None => {
            let pool = pool::with_session_settings(pool).connect_with(options.clone()).await?;
            reject_shared_sessions(&pool, &options).await?;
            (pool, Statements::Named)
        }
        Pooler::Transaction => {
            let statements = statements_of_pooler(&options).await?;
            tracing::info!(
                named_statements = statements == Statements::Named,
                "pooler of transactions"
            );
            let options = match statements {
                Statements::Named => options,
                Statements::Unnamed => options.statement_cache_capacity(0),
            };
            (pool.connect_with(options).await?, statements)
        }
    };
    let lists = settings.read.as_ref();
    let lists = lists.map(|read| replica::start(read, settings, pool.clone(), tasks));
    let database = PgDatabase {
        pool,
        pooler,
        statements,
        waits: Arc::default(),
        lists: lists.transpose()?,
    };
    if pooler == Pooler::Transaction {
        check_role_settings(&database).await?;
    }
    Ok(Engine::Postgres(database))
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

/// Finds out whether the pooler keeps track of named statements (pgbouncer from 1.21, unless `max_prepared_statements` is 0). It gives
/// them other names then, which the session shows. Any error means that it does not: without names everything works.
async fn statements_of_pooler(options: &PgConnectOptions) -> Result<Statements, StoreError> {
    const NAMES: &str = "SELECT COUNT(*) FROM pg_prepared_statements WHERE name LIKE 'PGBOUNCER%'";
    // A connection of this check alone: the statement of a pooler without this ability stays in a session of Postgres.
    let mut connection = options.connect().await?;
    let mut tx = connection.begin().await?;
    let found = sqlx::query_scalar::<_, i64>(NAMES).fetch_one(&mut *tx).await;
    let statements = match found {
        Ok(count) if count > 0 => Statements::Named,
        _ => Statements::Unnamed,
    };
    if found.is_ok() {
        // Closes the statement, within the transaction: in the same session.
        tx.clear_cached_statements().await?;
    }
    tx.rollback().await?;
    connection.close().await?;
    Ok(statements)
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
