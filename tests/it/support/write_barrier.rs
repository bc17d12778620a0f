//! Blocks writes to a table, so that a test can act while a statement is in flight. Uses a lock of the database;
//! readers are not blocked.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};

use super::eventually;

/// Removes an earlier barrier. Every row that is written takes the lock for its transaction. A lock on the table would block a statement before it is
/// prepared, which is earlier than the tests need.
const INSTALL_BARRIER: &str = "DROP FUNCTION IF EXISTS wait_at_barrier() CASCADE;
    CREATE FUNCTION wait_at_barrier() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END';
    CREATE TRIGGER barrier BEFORE {writes} ON {table} FOR EACH ROW WHEN ({rows}) EXECUTE FUNCTION wait_at_barrier();
    SELECT pg_advisory_lock(1)";
const WAITING: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'";

pub enum WriteBarrier {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl WriteBarrier {
    /// Blocks inserts into this table until the barrier is released. In SQLite, blocks all writes.
    pub async fn install(database_url: &str, table: &str) -> Self {
        if database_url.starts_with("postgres") {
            Self::install_for(database_url, "INSERT", table, "TRUE").await
        } else {
            let mut connection = SqliteConnection::connect(database_url).await.expect("SQLite");
            let started = sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await;
            started.expect("the lock");
            Self::Sqlite(connection)
        }
    }

    /// Blocks these writes (`INSERT`, `UPDATE`) in Postgres until the barrier is released, for rows that the condition holds for.
    pub async fn install_for(database_url: &str, writes: &str, table: &str, rows: &str) -> Self {
        let mut connection = PgConnection::connect(database_url).await.expect("Postgres");
        let install = INSTALL_BARRIER
            .replace("{writes}", writes)
            .replace("{table}", table)
            .replace("{rows}", rows);
        run_postgres(&mut connection, &install).await;
        Self::Postgres(connection)
    }

    /// Waits until a statement is blocked. SQLite does not expose this, and runs no statement for a dead program.
    pub async fn wait_until_reached(&mut self) {
        let Self::Postgres(connection) = self else {
            return;
        };
        eventually("a statement is blocked", async || {
            let waiting = sqlx::query(WAITING).fetch_optional(&mut *connection).await;
            waiting.expect("Postgres")
        })
        .await;
    }

    /// Lets blocked statements finish, even those of a dead program: Postgres notices the death only when it responds.
    pub async fn release(self) {
        match self {
            Self::Postgres(mut connection) => run_postgres(&mut connection, "SELECT pg_advisory_unlock(1)").await,
            Self::Sqlite(connection) => connection.close().await.expect("closed"),
        }
    }

    /// Aborts blocked statements, then releases the barrier.
    pub async fn abort_blocked(mut self) {
        if let Self::Postgres(connection) = &mut self {
            let waiting = sqlx::query(WAITING)
                .fetch_all(&mut *connection)
                .await
                .expect("Postgres");
            for row in waiting {
                let pid: i32 = row.get(0);
                let terminate = format!("SELECT pg_terminate_backend({pid}, 5000)");
                run_postgres(connection, &terminate).await;
            }
        }
        self.release().await;
    }
}

async fn run_postgres(connection: &mut PgConnection, sql: &str) {
    let run = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    run.expect("Postgres");
}
