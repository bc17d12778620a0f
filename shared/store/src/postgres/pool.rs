//! The settings of connections to Postgres: TLS, and what applies to each session.

use std::{path::Path, str::FromStr};

use sqlx::{
    ConnectOptions, Executor,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::{
    StoreError,
    engine::{ACQUIRE_TIMEOUT, STATEMENT_CACHE},
};

/// Settings of every connection to Postgres.
/// - Postgres cancels a statement that runs longer than 5 s, so that a stuck statement does not occupy the pool.
/// - Every statement reads a few rows by an index. Postgres caches plans: a plan made while a table is small, or before its
///   statistics exist, would still scan the whole table after it has grown.
/// - With sequential scans off, the cost estimate of a statement that needs one is high enough to trigger JIT compilation.
const SESSION_SETTINGS: &str = "SET statement_timeout = 5000; SET enable_seqscan = off; SET jit = off";

/// Returns a pool with this number of connections.
pub(super) fn sized(max_connections: u32) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // A test before every use would double the round trips of a send. A broken connection causes an error anyway.
        .test_before_acquire(false)
}

/// Sets the settings of each connection. Not as options of the connection: pgbouncer refuses them.
pub(super) fn with_session_settings(pool: PgPoolOptions) -> PgPoolOptions {
    pool.after_connect(|connection, _| Box::pin(async { connection.execute(SESSION_SETTINGS).await.map(drop) }))
}

/// Reads the address of `setting`.
pub(super) fn connection(url: &str, setting: &str) -> Result<PgConnectOptions, StoreError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| StoreError::Config(format!("{setting} is not a valid postgres:// address")))?
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
