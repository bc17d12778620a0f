//! The script for a new SQLite file makes what the migrations make.

use std::fmt::Write as _;

use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{database::Directory, *};
use crate::{migrations, sqlite_schema};

const OBJECTS: &str = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name <> '_sqlx_migrations'
    AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
const TABLES: &str = "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> '_sqlx_migrations'
    AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
const MIGRATIONS: &str = "SELECT version || ' ' || description || ' ' || success || ' ' || hex(checksum)
    FROM _sqlx_migrations ORDER BY version";

async fn texts(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
    let texts = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(connection);
    texts.await.unwrap()
}

/// Returns the statements that make the tables and their rows, without comments.
async fn dump(connection: &mut SqliteConnection) -> String {
    let mut script = String::new();
    for sql in texts(connection, OBJECTS).await {
        let lines = sql
            .lines()
            .map(|line| line.split("--").next().unwrap_or_default().trim_end());
        let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        writeln!(script, "{};", lines.join("\n")).unwrap();
    }
    for table in texts(connection, TABLES).await {
        let columns = texts(connection, &format!("SELECT name FROM pragma_table_info('{table}')")).await;
        let quoted: Vec<String> = columns.iter().map(|column| format!("quote({column})")).collect();
        let values = quoted.join(" || ', ' || ");
        for row in texts(connection, &format!("SELECT {values} FROM {table} ORDER BY 1")).await {
            writeln!(script, "INSERT INTO {table} ({}) VALUES ({row});", columns.join(", ")).unwrap();
        }
    }
    script
}

async fn empty(directory: &std::path::Path, name: &str) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(directory.join(name))
        .create_if_missing(true);
    SqliteConnection::connect_with(&options).await.unwrap()
}

both_engines! {
    async fn new_file_has_the_schema_of_the_migrations(db: &Database) {
        if db.is_postgres() {
            return;
        }
        let directory = Directory::new();
        let mut migrated = empty(directory.as_ref(), "migrated.db").await;
        migrations::for_sqlite().run(&mut migrated).await.unwrap();
        let expected = dump(&mut migrated).await;
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sqlite_schema.sql");
            std::fs::write(path, format!("-- version {}\n{expected}", migrations::newest())).unwrap();
            return;
        }
        let mut created = empty(directory.as_ref(), "created.db").await;
        sqlite_schema::create(&mut created).await.unwrap();
        let version = sqlite_schema::version().unwrap();
        assert_eq!(
            texts(&mut created, "SELECT MAX(version) || '' FROM _sqlx_migrations").await,
            [version.to_string()]
        );
        // Migrations that are newer than the script.
        migrations::for_sqlite().run(&mut created).await.unwrap();
        let made = dump(&mut created).await;
        for (made, expected) in made.lines().zip(expected.lines()) {
            assert_eq!(made, expected, "run this test with UPDATE_SCHEMA=1");
        }
        assert_eq!(made, expected);
        assert_eq!(
            texts(&mut created, MIGRATIONS).await,
            texts(&mut migrated, MIGRATIONS).await
        );
        let stale = migrations::newest() - version;
        assert!(
            stale < 20,
            "each start of a new installation runs {stale} migrations: run this test with UPDATE_SCHEMA=1"
        );

        // A file with tables is migrated from where it is.
        let mut older = empty(directory.as_ref(), "older.db").await;
        sqlx::raw_sql("CREATE TABLE streams (a INTEGER)")
            .execute(&mut older)
            .await
            .unwrap();
        sqlite_schema::create(&mut older).await.unwrap();
        assert_eq!(texts(&mut older, TABLES).await, ["streams"]);
    }
}
