//! The run of migrations on Postgres. Processes take turns by a lock. A step that waits for a table gives up after a moment and tries
//! again, because everything that uses the table would queue up behind it.

use std::time::Duration;

use sqlx::{PgConnection, PgPool, Row, migrate::MigrateError};

use crate::{
    StoreError,
    migrations::{self, Step},
};

/// How long a step waits for the lock of a table.
const LOCK_TIMEOUT: &str = "SET lock_timeout = '2s'";
/// A concurrent step waits for the end of older transactions. Users of the table do not wait for it.
const NO_LOCK_TIMEOUT: &str = "SET lock_timeout = 0";
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// About ten minutes.
const MAX_RETRIES: u32 = 200;
const TURN_INTERVAL: Duration = Duration::from_millis(100);
/// SQLSTATE `lock_not_available`.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Applies the missing ones of the steps. Each takes place once, however many processes run them.
pub(crate) async fn run(pool: &PgPool, steps: &[Step]) -> Result<(), StoreError> {
    let mut connection = pool.acquire().await?;
    // The settings and the lock end with the connection.
    connection.close_on_drop();
    // No time limit: a large table may take long.
    execute(&mut connection, "SET statement_timeout = 0").await?;
    take_turn(&mut connection).await?;
    let mut end = 0;
    // A concurrent step ends a group, so that the lock time-out is that of its kind.
    for group in steps.chunk_by(|step, next| step.is_concurrent() == next.is_concurrent()) {
        end += group.len();
        let is_concurrent = group.iter().any(Step::is_concurrent);
        execute(
            &mut connection,
            if is_concurrent { NO_LOCK_TIMEOUT } else { LOCK_TIMEOUT },
        )
        .await?;
        for step in group.iter().filter(|step| step.is_concurrent()) {
            drop_unfinished_index(&mut connection, step).await?;
        }
        run_with_retries(&mut connection, &steps[..end]).await?;
    }
    Ok(())
}

async fn run_with_retries(connection: &mut PgConnection, steps: &[Step]) -> Result<(), StoreError> {
    let mut migrator = migrations::for_postgres(steps);
    // This process has the lock. A process that waited for sqlx's own in a statement would be waited for by a concurrent step.
    migrator.set_locking(false);
    for _ in 0..MAX_RETRIES {
        match migrator.run(&mut *connection).await {
            Err(error) if is_lock_timeout(&error) => {
                tracing::warn!(%error, "migration waits for the lock of a table");
                tokio::time::sleep(RETRY_AFTER).await;
            }
            done => return Ok(done?),
        }
    }
    Ok(migrator.run(&mut *connection).await?)
}

fn is_lock_timeout(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().as_deref() == Some(LOCK_NOT_AVAILABLE))
}

/// Waits until no other process migrates this database, with the lock that older releases use too.
async fn take_turn(connection: &mut PgConnection) -> Result<(), StoreError> {
    const LOCK: &str = "SELECT pg_try_advisory_lock($1)";
    let database: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&mut *connection)
        .await?;
    let id = lock_id(&database);
    loop {
        let row = sqlx::query(LOCK).bind(id).fetch_one(&mut *connection).await?;
        if row.try_get(0)? {
            return Ok(());
        }
        tokio::time::sleep(TURN_INTERVAL).await;
    }
}

/// Drops the index that an interrupted run of the step has left: Postgres keeps it up to date, but never uses it.
async fn drop_unfinished_index(connection: &mut PgConnection, step: &Step) -> Result<(), StoreError> {
    const FIND: &str = "SELECT indexrelid::regclass::text FROM pg_index
        WHERE indexrelid = to_regclass($1) AND NOT indisvalid";
    let Some(name) = step.index_name() else { return Ok(()) };
    let unfinished: Option<String> = sqlx::query_scalar(FIND)
        .bind(name)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(index) = unfinished {
        let sql = sqlx::AssertSqlSafe(format!("DROP INDEX CONCURRENTLY {index}"));
        sqlx::raw_sql(sql).execute(&mut *connection).await?;
    }
    Ok(())
}

async fn execute(connection: &mut PgConnection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(connection).await?;
    Ok(())
}

/// Returns the number with which sqlx locks a database during migrations.
fn lock_id(database: &str) -> i64 {
    0x3d32_ad9e * i64::from(crc32(database.as_bytes()))
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| {
        if crc & 1 == 1 {
            (crc >> 1) ^ 0xedb8_8320
        } else {
            crc >> 1
        }
    };
    !bytes
        .iter()
        .fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    #[test]
    fn lock_has_the_checksum_of_the_name() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
