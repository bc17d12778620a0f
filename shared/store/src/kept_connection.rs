//! A connection to SQLite that one task keeps. A pool tests each connection with a round trip to its thread after every use, which
//! costs as much as a short statement.

use std::{
    future::Future,
    sync::{Mutex, PoisonError},
};

use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// Opened at the first use, and again after an error.
pub(crate) struct KeptConnection {
    options: SqliteConnectOptions,
    open: Mutex<Option<SqliteConnection>>,
}

impl KeptConnection {
    pub fn new(options: SqliteConnectOptions) -> Self {
        Self {
            options,
            open: Mutex::default(),
        }
    }

    /// Runs a statement. Of several callers at the same time, each one but the first opens a connection.
    pub async fn run<T, F>(&self, statement: impl FnOnce(SqliteConnection) -> F) -> Result<T, sqlx::Error>
    where
        F: Future<Output = Result<(T, SqliteConnection), sqlx::Error>>,
    {
        let connection = match self.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        let (result, connection) = statement(connection).await?;
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        Ok(result)
    }

    /// Closes the connection. A later statement opens another one.
    pub async fn close(&self) {
        if let Some(connection) = self.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "database connection not closed");
        }
    }

    fn take(&self) -> Option<SqliteConnection> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
