//! The database of one test, with more replicas on it and direct access to its tables.

use std::{
    collections::BTreeMap,
    ops::Deref,
    path::{Path, PathBuf},
    time::Duration,
};

use butt_dial_domain::OrgId;
use butt_dial_testkit::servers::{Postgres, fresh_postgres_database};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio_util::task::TaskTracker;

use crate::{
    DatabaseSettings, Pooler, ReadSettings, Store,
    engine::{Engine, on_reader, on_writer},
};

const CONNECTIONS: u32 = 8;

/// A hash of the key of a person. It differs by organization.
pub fn digest(org: &OrgId, key: &str) -> [u8; 32] {
    let mut digest = [0_u8; 32];
    for (n, byte) in org.as_str().bytes().chain([0xff]).chain(key.bytes()).enumerate() {
        let place = &mut digest[n % 32];
        *place = place.wrapping_mul(31).wrapping_add(byte);
    }
    digest
}

pub struct Database {
    store: Store,
    pub url: String,
    tasks: TaskTracker,
    server: Option<Postgres>,
    _directory: Option<Directory>,
}

impl Deref for Database {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Database {
    pub async fn sqlite() -> Self {
        let directory = Directory::new();
        let url = format!("sqlite:{}", directory.0.join("data").join("store.db").display());
        Self::connect(url, None, Some(directory)).await
    }

    pub async fn postgres() -> Self {
        let (url, server) = fresh_postgres_database().await;
        Self::connect(url, server, None).await
    }

    /// A database on a server without other databases. Postgres forgets dead entries of an index only when no transaction of
    /// any database is older, so other tests would change what a statement reads.
    pub async fn postgres_alone() -> Self {
        let server = Postgres::start().await;
        let url = server.database().await;
        Self::connect(url, Some(server), None).await
    }

    async fn connect(url: String, server: Option<Postgres>, directory: Option<Directory>) -> Self {
        let tasks = TaskTracker::new();
        let store = Store::connect(&url, CONNECTIONS, &tasks).await.unwrap();
        store.hash_contacts_with(digest);
        store.migrate().await.unwrap();
        Self {
            store,
            url,
            tasks,
            server,
            _directory: directory,
        }
    }

    /// Connects a second store to the same database, like another replica.
    pub async fn replica(&self) -> Store {
        let store = Store::connect(&self.url, CONNECTIONS, &self.tasks).await.unwrap();
        store.hash_contacts_with(digest);
        store
    }

    pub fn is_postgres(&self) -> bool {
        matches!(self.store.engine, Engine::Postgres(_))
    }

    /// Runs a statement that the store does not have.
    pub async fn execute(&self, sql: &str) {
        on_writer!(self.store, |db| sqlx::query(sqlx::AssertSqlSafe(sql))
            .execute(db)
            .await
            .map(drop))
        .unwrap();
    }

    /// Changes the schema. On SQLite, on a connection without the triggers of the writer, which need all columns.
    pub async fn change_schema(&self, sql: &'static str) {
        let Engine::Sqlite { write, .. } = &self.store.engine else {
            return self.execute(sql).await;
        };
        let mut connection = write.connect_options().connect().await.unwrap();
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
    }

    /// Reads a number directly.
    pub async fn count(&self, sql: &str) -> i64 {
        on_reader!(self.store, |db| sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .fetch_one(db)
            .await)
        .unwrap()
    }

    /// Reads one text per row directly.
    pub async fn texts(&self, sql: &'static str) -> Vec<String> {
        on_reader!(self.store, |db| sqlx::query_scalar(sql).fetch_all(db).await).unwrap()
    }

    /// Returns the reads of a store with one connection: rows per table in sequential scans, and entries per index. Postgres
    /// only.
    pub async fn reads(&self, store: &Store) -> BTreeMap<String, i64> {
        const SQL: &str = "SELECT relname::TEXT, seq_tup_read FROM pg_stat_user_tables
            UNION ALL SELECT indexrelname::TEXT, idx_tup_read FROM pg_stat_user_indexes";
        let Engine::Postgres(pool) = &store.engine else {
            panic!("only Postgres counts reads")
        };
        sqlx::query("SELECT pg_stat_force_next_flush()")
            .execute(pool)
            .await
            .unwrap();
        let rows: Vec<(String, i64)> = sqlx::query_as(SQL).fetch_all(pool).await.unwrap();
        rows.into_iter().collect()
    }

    /// Connects a replica with one connection.
    pub async fn single_connection_replica(&self) -> Store {
        let store = Store::connect(&self.url, 1, &self.tasks).await.unwrap();
        store.hash_contacts_with(digest);
        store
    }

    /// Connects a store that reads lists from a streaming replica. Postgres only.
    pub async fn with_streaming_replica(&self, replica: &Postgres, max_lag: Duration) -> Store {
        let settings = DatabaseSettings {
            url: self.url.clone(),
            max_connections: 2,
            pooler: Pooler::None,
            read: Some(ReadSettings {
                url: replica.url_of(&self.url),
                max_lag,
            }),
        };
        let store = Store::connect_with(&settings, &self.tasks).await.unwrap();
        store.hash_contacts_with(digest);
        store
    }

    /// Returns the server of this database alone.
    pub fn server(&self) -> &Postgres {
        self.server.as_ref().expect("a server of this database alone")
    }

    /// Connects a replica with one connection as behind a pooler of transactions: no statement has a name. Postgres only.
    pub async fn pooled_replica(&self) -> Store {
        self.execute("ALTER ROLE current_user SET statement_timeout = '5s'")
            .await;
        self.execute("ALTER ROLE current_user SET enable_seqscan = off").await;
        self.execute("ALTER ROLE current_user SET jit = off").await;
        let settings = DatabaseSettings {
            url: self.url.clone(),
            max_connections: 1,
            pooler: Pooler::Transaction,
            read: None,
        };
        let store = Store::connect_with(&settings, &self.tasks).await.unwrap();
        store.hash_contacts_with(digest);
        store
    }

    /// Drops constraints, so that the test can write any text to `agents.status` and `tokens.scope`.
    pub async fn drop_checks(&self) {
        if self.is_postgres() {
            self.execute("ALTER TABLE agents DROP CONSTRAINT agents_status_check")
                .await;
            self.execute("ALTER TABLE tokens DROP CONSTRAINT tokens_scope_check")
                .await;
        } else {
            self.execute("PRAGMA ignore_check_constraints = ON").await;
        }
    }

    /// Reads every message, spend and usage row as text, to compare before and after.
    pub async fn ledger(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for sql in [
            "SELECT 'message ' || id || ' ' || idempotency_key || ' ' || status FROM messages ORDER BY id",
            "SELECT 'spend ' || scope || ' ' || period || ' ' || held || ' ' || settled FROM spend ORDER BY scope, period",
            "SELECT 'usage ' || agent_id || ' ' || day || ' ' || channel || ' ' || messages || ' ' || cost FROM usage
                ORDER BY agent_id, day, channel",
        ] {
            let rows: Vec<String> = on_reader!(self.store, |db| sqlx::query_scalar(sql).fetch_all(db).await).unwrap();
            lines.extend(rows);
        }
        lines
    }

    /// Asserts that the spend matches the messages and that the tasks of the store end.
    pub async fn finish(self) {
        self.assert_spend_matches_messages().await;
        self.store.close().await;
        drop(self.store);
        self.tasks.close();
        let ended = tokio::time::timeout(Duration::from_secs(10), self.tasks.wait()).await;
        assert!(ended.is_ok(), "a task of the store is still running");
    }

    /// Asserts per scope and period: held is the sum of the estimates of unsettled messages, settled the sum of all other costs.
    async fn assert_spend_matches_messages(&self) {
        const MESSAGES: &str = "SELECT agent_id, org_id, day, status, estimate, cost, budget_id, task_id FROM messages";
        const SPEND: &str = "SELECT scope, period, held, settled FROM spend WHERE held <> 0 OR settled <> 0";
        let mut due: BTreeMap<(String, String), (i64, i64)> = BTreeMap::new();
        let messages: Vec<PaidMessage> =
            on_reader!(self.store, |db| sqlx::query_as(MESSAGES).fetch_all(db).await).unwrap();
        for (agent, org, day, status, estimate, cost, budget, task) in messages {
            let held = matches!(status.as_str(), "sending" | "unknown");
            let (held, settled) = if held { (estimate, 0) } else { (0, cost.unwrap()) };
            let month = day[..7].to_owned();
            let mut scopes = vec![(format!("agt:{agent}"), month.clone()), (format!("org:{org}"), month)];
            scopes.extend(budget.map(|budget| (format!("tok:{budget}"), "total".to_owned())));
            for (scope, longer) in scopes {
                for period in [day.clone(), longer] {
                    let sum = due.entry((scope.clone(), period)).or_default();
                    *sum = (sum.0 + held, sum.1 + settled);
                }
            }
            if let Some(task) = task {
                let sum = due
                    .entry((format!("task:{org}/{task}"), "total".to_owned()))
                    .or_default();
                *sum = (sum.0 + held, sum.1 + settled);
            }
        }
        due.retain(|_, sum| *sum != (0, 0));
        let kept: Vec<(String, String, i64, i64)> =
            on_reader!(self.store, |db| sqlx::query_as(SPEND).fetch_all(db).await).unwrap();
        let kept: BTreeMap<_, _> = kept
            .into_iter()
            .map(|(s, p, held, settled)| ((s, p), (held, settled)))
            .collect();
        assert_eq!(kept, due, "spend does not match the messages");
    }
}

/// Agent, organization, day, status, estimate, cost, the budget of the token and the task.
type PaidMessage = (
    String,
    String,
    String,
    String,
    i64,
    Option<i64>,
    Option<String>,
    Option<String>,
);

/// A directory that is deleted at the end of the test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        let name = format!("butt-dial-store-{}", butt_dial_domain::ids::random());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl AsRef<Path> for Directory {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
