//! The schema of a new SQLite file: what the migrations up to one of them make, as one script. SQLite parses the whole schema again
//! at each change of a table, so that the migrations one by one take most of the time of a first start. Files with tables are never
//! touched. Migrations after the script's run as usual; the test of this file writes the script (`UPDATE_SCHEMA=1`).

use sqlx::{Connection, SqliteConnection};

use crate::{StoreError, migrations};

/// Its first line names the version.
pub(crate) const SCHEMA: &str = include_str!("sqlite_schema.sql");

/// Makes the tables, if the file has none. The table of migrations has the same rows as if all had run.
pub(crate) async fn create(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    // The lock of the writer: another process may create the tables at the same time.
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    let objects: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_master")
        .fetch_one(&mut *tx)
        .await?;
    if objects == 0 {
        sqlx::raw_sql(SCHEMA).execute(&mut *tx).await?;
        migrations::for_sqlite().skip(&mut *tx, Some(version()?)).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Returns the newest migration that the script contains.
pub(crate) fn version() -> Result<i64, StoreError> {
    let line = SCHEMA.lines().next().unwrap_or_default();
    let version = line.trim_start_matches("-- version ").parse();
    version.map_err(|_| StoreError::Config("the script of the schema has no version".into()))
}
