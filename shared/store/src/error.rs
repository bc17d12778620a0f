//! What can go wrong with the database, told apart by what the caller can do about it.

use sqlx::postgres::PgDatabaseError;

/// PostgreSQL, appendix A: 08 connection exception, 53 insufficient resources, 57P operator intervention, 57014 cut off
/// by the statement timeout, 40 rollback (deadlock or serialization), 25006 read-only (a standby).
const PASSING_CLASSES: [&str; 6] = ["08", "53", "57P", "57014", "40", "25006"];

/// Never shown to a caller: 5xx bodies carry an id, the log carries this.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database can't be reached, or gave up on us: the same call may succeed later.
    #[error("the database does not answer: {0}")]
    Unavailable(#[source] sqlx::Error),
    /// A row with this key exists already.
    #[error("already exists")]
    Conflict,
    /// A reservation would exceed a budget.
    #[error("over budget")]
    OverBudget,
    /// A row holds what the program would never write.
    #[error("table {table}, column {column}, row {row}: unreadable value")]
    Corrupt {
        table: &'static str,
        column: &'static str,
        row: String,
    },
    /// The group that this write was part of failed with the text of the cause.
    #[error("a shared write failed: {0}")]
    Shared(String),
    #[error("database: {0}")]
    Other(#[source] sqlx::Error),
    #[error("migration: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// The address of the database makes no sense; the text says why.
    #[error("{0}")]
    Config(String),
}

impl StoreError {
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
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
            let code = db.code().unwrap_or_default();
            let passing = if db.try_downcast_ref::<PgDatabaseError>().is_some() {
                PASSING_CLASSES.iter().any(|class| code.starts_with(class))
            } else {
                // The lowest byte of SQLite's extended codes is the code: 5 busy, 6 locked.
                code.parse::<u32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6))
            };
            return if passing {
                Self::Unavailable(error)
            } else {
                Self::Other(error)
            };
        }
        match error {
            sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::Tls(_) => Self::Unavailable(error),
            other => Self::Other(other),
        }
    }
}
