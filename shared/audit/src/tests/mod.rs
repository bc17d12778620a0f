//! The audit logs on both engines: sealing, tampering, exports.

mod sealing;
mod speed;
mod tampering;

use butt_dial_domain::{Clock, OrgId, ReplicaId, clock::Timestamp};
use butt_dial_store::{AuditEntry, AuditFilter, Store};
use butt_dial_testkit::servers::{Postgres, fresh_postgres_database};
use butt_dial_vault::Vault;
use chrono::TimeDelta;
use serde_json::json;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tokio_util::task::TaskTracker;

use crate::Audit;

/// A log with a separate database.
struct World {
    store: Store,
    audit: Audit,
    url: String,
    tasks: TaskTracker,
    org: OrgId,
    _server: Option<Postgres>,
    _directory: Option<tempfile::TempDir>,
}

impl World {
    async fn sqlite() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("store.db").display());
        Self::connect(url, None, Some(directory)).await
    }

    async fn postgres() -> Self {
        let (url, server) = fresh_postgres_database().await;
        Self::connect(url, server, None).await
    }

    async fn connect(url: String, server: Option<Postgres>, directory: Option<tempfile::TempDir>) -> Self {
        let tasks = TaskTracker::new();
        let store = Store::connect(&url, 4, &tasks).await.unwrap();
        store.migrate().await.unwrap();
        Self {
            audit: audit(&store, None),
            store,
            url,
            tasks,
            org: OrgId::from("org_1"),
            _server: server,
            _directory: directory,
        }
    }

    /// Connects another replica.
    async fn replica(&self) -> Audit {
        let store = Store::connect(&self.url, 4, &self.tasks).await.unwrap();
        audit(&store, None)
    }

    /// Appends changes of the organization.
    async fn append(&self, count: usize) {
        for n in 0..count {
            let entry = AuditEntry::new(
                Some(&self.org),
                "tok_1",
                "agent.status",
                &format!("agt_{n}"),
                Clock::System.now(),
            );
            let entry = entry.with_detail(json!({ "price": 0.5, "n": n, "name": "Zoë \"A\"\n" }));
            self.store.append_audit(&entry).await.unwrap();
        }
    }

    /// Appends and seals changes.
    async fn seal(&self, count: usize) {
        self.append(count).await;
        assert_eq!(self.audit.seal_due().await.unwrap(), count);
    }

    fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite")
    }

    /// Runs a statement behind the back of the program.
    async fn tamper(&self, sql: &str) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned());
        let done = if self.is_sqlite() {
            let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
            sqlx::query(sql).execute(&mut connection).await.unwrap().rows_affected()
        } else {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            sqlx::query(sql).execute(&mut connection).await.unwrap().rows_affected()
        };
        assert!(done > 0, "nothing was changed");
    }

    /// Returns the id of the row at this place.
    async fn id_at(&self, seq: i64) -> String {
        let rows = self
            .store
            .list_audit(Some(&self.org), AuditFilter::default(), 10_000)
            .await
            .unwrap();
        rows.into_iter().find(|row| row.seq == Some(seq)).unwrap().id
    }

    /// Verifies the log. Returns the first broken row.
    async fn broken(&self) -> Option<(u64, Option<String>, &'static str)> {
        let verified = self.audit.verify(self.org.as_str(), |_| ()).await.unwrap();
        verified.broken.map(|broken| (broken.seq, broken.id, broken.reason))
    }
}

fn audit(store: &Store, kept: Option<TimeDelta>) -> Audit {
    let vault = Vault::new(b"secret");
    let host = Some("comms.example".to_owned());
    Audit::new(store.clone(), vault, Clock::System, &ReplicaId::generate(), host, kept)
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(1_700_000_000 + seconds, 0).unwrap()
}

/// Makes two tests of each function, for SQLite and for Postgres.
macro_rules! both_engines {
    ($(async fn $name:ident($world:ident: &World) $body:block)+) => {
        $(
            mod $name {
                use super::*;

                async fn body($world: &World) $body

                #[tokio::test]
                async fn sqlite() {
                    body(&World::sqlite().await).await;
                }

                #[tokio::test]
                async fn postgres() {
                    body(&World::postgres().await).await;
                }
            }
        )+
    };
}

use both_engines;
