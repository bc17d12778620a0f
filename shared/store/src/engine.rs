//! The engines: the choice between Postgres and SQLite for each statement, transactions, and the time limit of calls.

use std::{sync::Arc, time::Duration};

use sqlx::{Sqlite, SqlitePool, Transaction};

use crate::{
    checkpoints::Checkpointer,
    kept_connection::KeptConnection,
    postgres::{PgDatabase, PgTx},
};

/// The longest wait for a connection before the database counts as unavailable.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// Statements that a connection keeps prepared: more than the store has.
pub(crate) const STATEMENT_CACHE: usize = 1_024;
/// The longest time for one call of the store. Longer than `ACQUIRE_TIMEOUT`, shorter than the timeout of any client.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// A statement in the dialect of each engine, where one text cannot serve both. Parameters have the same meaning in both.
#[derive(Clone, Copy)]
pub(crate) struct Sql {
    pub postgres: &'static str,
    pub sqlite: &'static str,
}

#[derive(Clone)]
pub(crate) enum Engine {
    Postgres(PgDatabase),
    /// SQLite has one writer. The write-ahead log allows reads at the same time.
    Sqlite {
        read: SqlitePool,
        /// Reads the contacts of sends.
        contacts: Arc<KeptConnection>,
        write: SqlitePool,
        checkpointer: Checkpointer,
    },
}

/// Runs the expression with `$db` bound to the read pool of the connected engine, within `CALL_TIMEOUT`.
///
/// A macro and not a generic function: sqlx requires bounds for every bound type, every decoded type and the executor of
/// each query (`for<'q> &'q str: Encode<'q, DB>`, ...), so that the signature would be longer than the query.
macro_rules! on_reader {
    ($store:expr, |$db:ident| $body:expr) => {
        match &$store.engine {
            $crate::engine::Engine::Postgres($db) => $crate::engine::with_timeout(async { $body }).await,
            $crate::engine::Engine::Sqlite { read: $db, .. } => $crate::engine::with_timeout(async { $body }).await,
        }
    };
}

/// Runs the expression like `on_reader!`, on the replica of Postgres if there is one with data that is new enough. If it fails there,
/// the primary answers. Only for lists and exports that people look at, and never for what decides something.
macro_rules! on_list {
    ($store:expr, |$db:ident| $body:expr) => {
        'answer: {
            if let $crate::engine::Engine::Postgres(primary) = &$store.engine
                && let Some(lists) = primary.lists()
                && lists.state.is_used()
            {
                let $db = &lists.database;
                match $crate::engine::with_timeout(async { $body }).await {
                    Ok(found) => break 'answer Ok(found),
                    Err(error) => lists.state.note_failure(&error),
                }
            }
            $crate::engine::on_reader!($store, |$db| $body)
        }
    };
}

/// Runs the expression with `$db` bound to the write pool of the connected engine. A macro for the reason of `on_reader!`.
macro_rules! on_writer {
    ($store:expr, |$db:ident| $body:expr) => {
        match &$store.engine {
            $crate::engine::Engine::Postgres($db) => $crate::engine::with_timeout(async { $body }).await,
            $crate::engine::Engine::Sqlite { write: $db, .. } => $crate::engine::with_timeout(async { $body }).await,
        }
    };
}

/// Runs the expression with `$db` bound to the connection of a transaction. A macro for the reason of `on_reader!`.
macro_rules! in_tx {
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

pub(crate) use {in_tx, on_list, on_reader, on_writer};

/// A write transaction on either engine, for work of several statements.
pub(crate) enum Tx {
    Postgres(PgTx),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Tx {
    /// Returns the statement for the connected engine.
    pub fn sql(&self, sql: Sql) -> &'static str {
        match self {
            Self::Postgres(_) => sql.postgres,
            Self::Sqlite(_) => sql.sqlite,
        }
    }

    pub async fn commit(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Postgres(tx) => tx.commit().await,
            Self::Sqlite(tx) => tx.commit().await,
        }
    }
}

/// Converts a sequence number of a stream for its column.
pub(crate) fn as_number(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

/// Fails with a timeout after `CALL_TIMEOUT`. Guards against a database that sends no answer at all; slow statements and
/// exhausted pools fail earlier, by their own timeouts.
pub(crate) async fn with_timeout<T, E: From<sqlx::Error>>(work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    #[cfg(feature = "simulation")]
    if let Some(process) = crate::simulation::current_process() {
        return crate::simulation::call(&process, work).await;
    }
    match tokio::time::timeout(CALL_TIMEOUT, work).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into()),
    }
}
