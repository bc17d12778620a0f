//! Errors of the store, distinguished by what the caller can do about them.

use butt_dial_domain::Failure;
use sqlx::postgres::PgDatabaseError;

use crate::column::UnknownValue;

/// Error codes of transient failures. PostgreSQL, appendix A: 08 connection exception, 53 insufficient resources,
/// 57P operator intervention, 57014 canceled by the statement timeout, 40 rollback (deadlock or serialization),
/// 25006 read-only (a standby).
const TRANSIENT_CODES: [&str; 6] = ["08", "53", "57P", "57014", "40", "25006"];

/// Must not be shown to a caller: bodies of 5xx answers contain an id, and the log contains this.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or canceled the statement: the same call may succeed later.
    #[error("the database does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// The database answers, but accepts no writes.
    #[error("the database is read-only: it is a standby, or default_transaction_read_only is on")]
    ReadOnly,
    /// A row with this key exists.
    #[error("already exists")]
    Conflict,
    /// A reservation would exceed a budget.
    #[error("over budget")]
    OverBudget,
    /// A row holds a value that the program never writes.
    #[error("table {table}, column {column}, row {row}: unreadable value {value:?}")]
    Corrupt {
        table: &'static str,
        column: &'static str,
        row: String,
        value: String,
    },
    /// A row of a query holds a value that the program never writes.
    #[error(transparent)]
    UnknownValue(UnknownValue),
    /// The batch of this write failed, with the text of the cause.
    #[error("a shared write failed: {0}")]
    Shared(String),
    #[error("database: {0}")]
    Other(#[source] sqlx::Error),
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The address of the database is invalid; the text says why.
    #[error("{0}")]
    Config(String),
}

impl StoreError {
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::ReadOnly)
    }

    /// Returns whether a start that failed with this error may succeed later without a change of settings: the database is not
    /// there yet, or its connection was lost during the migrations.
    pub fn may_pass(&self) -> bool {
        use sqlx::migrate::MigrateError::{Execute, ExecuteMigration};
        match self {
            Self::Migrate(Execute(error) | ExecuteMigration(error, _)) => is_transient(error),
            other => other.is_unavailable(),
        }
    }

    /// Returns whether the data itself is the cause, so that the same call always fails. All other errors may pass: locks,
    /// time-outs, a read-only database, a schema that is being changed.
    pub fn is_data_error(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::UnknownValue(_) => true,
            Self::Other(sqlx::Error::Database(error)) => {
                let code = error.code().unwrap_or_default();
                if error.try_downcast_ref::<PgDatabaseError>().is_some() {
                    // 22 data exception, 23 integrity constraint violation.
                    code.starts_with("22") || code.starts_with("23")
                } else {
                    // SQLite: 18 too big, 19 constraint, 20 mismatch.
                    code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 18..=20))
                }
            }
            Self::Other(sqlx::Error::ColumnDecode { .. } | sqlx::Error::Encode(_)) => true,
            _ => false,
        }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if let sqlx::Error::Database(db) = &error {
            if db.is_check_violation() && db.message().contains("spend_within_cap") {
                return Self::OverBudget;
            }
            if db.is_unique_violation() {
                return Self::Conflict;
            }
            return if is_transient(&error) {
                Self::Unavailable(error)
            } else {
                Self::Other(error)
            };
        }
        match error {
            sqlx::Error::ColumnDecode { index, source } => match source.downcast::<UnknownValue>() {
                Ok(unknown) => Self::UnknownValue(*unknown),
                Err(source) => Self::Other(sqlx::Error::ColumnDecode { index, source }),
            },
            error if is_transient(&error) => Self::Unavailable(error),
            other => Self::Other(other),
        }
    }
}

/// Returns whether the same statement may succeed later.
fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(db) => {
            let code = db.code().unwrap_or_default();
            if db.try_downcast_ref::<PgDatabaseError>().is_some() {
                TRANSIENT_CODES.iter().any(|prefix| code.starts_with(prefix))
            } else {
                // The lowest byte of SQLite's extended code is the primary code: 5 busy, 6 locked.
                code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_) => true,
        _ => false,
    }
}

/// Logs the cause, which callers must not see, and keeps what they may know: whether a repeat can succeed.
impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if error.is_unavailable() {
            tracing::warn!(%error, "database unavailable");
            Self::unavailable("the database does not answer right now").hint("try again with the same idempotencyKey")
        } else {
            tracing::error!(%error, "database call failed");
            Self::internal()
        }
    }
}
