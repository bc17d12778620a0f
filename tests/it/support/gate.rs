//! Holds up whoever writes into a table, so that something can happen while a statement is on its way. The database itself
//! does, with a lock; whoever only reads is not held up.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};

use super::eventually;

/// Every row that is written takes the lock for its transaction. A lock on the table would stop a statement that was never
/// prepared before it is run.
const GATEKEEPER: &str = "CREATE OR REPLACE FUNCTION pass_the_gate() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END';
    CREATE OR REPLACE TRIGGER gate BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION pass_the_gate();
    SELECT pg_advisory_lock(1)";
const WAITING: &str = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'";

pub enum Gate {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Gate {
    /// From now on nothing is inserted into this table, until the gate opens; in SQLite, nothing is written at all.
    pub async fn close(database_url: &str, table: &str) -> Self {
        if database_url.starts_with("postgres") {
            let mut connection = PgConnection::connect(database_url).await.expect("Postgres");
            run_postgres(&mut connection, &GATEKEEPER.replace("{table}", table)).await;
            Self::Postgres(connection)
        } else {
            let mut connection = SqliteConnection::connect(database_url).await.expect("SQLite");
            let begun = sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await;
            begun.expect("the lock");
            Self::Sqlite(connection)
        }
    }

    /// Waits until a statement stands at the gate. SQLite does not tell, and runs nothing for a program that is gone.
    pub async fn is_reached(&mut self) {
        let Self::Postgres(connection) = self else {
            return;
        };
        eventually("a statement waits", async || {
            let waiting = sqlx::query(WAITING).fetch_optional(&mut *connection).await;
            waiting.expect("Postgres")
        })
        .await;
    }

    /// Those who wait go through, also for a program that is dead: Postgres notices that only when it answers.
    pub async fn open(self) {
        match self {
            Self::Postgres(mut connection) => run_postgres(&mut connection, "SELECT pg_advisory_unlock(1)").await,
            Self::Sqlite(connection) => connection.close().await.expect("closed"),
        }
    }

    /// Those who wait never get through.
    pub async fn turn_away(mut self) {
        if let Self::Postgres(connection) = &mut self {
            let waiting = sqlx::query(WAITING)
                .fetch_all(&mut *connection)
                .await
                .expect("Postgres");
            for row in waiting {
                let pid: i32 = row.get(0);
                let gone = format!("SELECT pg_terminate_backend({pid}, 5000)");
                run_postgres(connection, &gone).await;
            }
        }
        self.open().await;
    }
}

async fn run_postgres(connection: &mut PgConnection, sql: &str) {
    let run = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await;
    run.expect("Postgres");
}
