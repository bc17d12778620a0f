//! The run of migrations on Postgres.

use sqlx::{Executor, PgPool};

use super::*;
use crate::{engine::Engine, migrations::Step, postgres_migrations};

const INDEX: &str = "-- no-transaction
CREATE UNIQUE INDEX CONCURRENTLY audit_by_action ON audit (action);
";
const VALID: &str = "SELECT COUNT(*) FROM pg_index WHERE indexrelid = to_regclass('audit_by_action') AND indisvalid";
const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'ALTER TABLE audit%'";

/// Returns the pool of Postgres. SQLite has neither concurrent steps nor time-outs of locks.
fn pool(db: &Database) -> Option<&PgPool> {
    match &db.engine {
        Engine::Postgres(db) => Some(&db.pool),
        Engine::Sqlite { .. } => None,
    }
}

async fn add_audit_entry(db: &Database, id: &str) {
    let sql = format!(
        "INSERT INTO audit (id, actor, action, target, detail, at) VALUES ('{id}', 'system', 'a.b', 't', '{{}}', now())"
    );
    db.execute(&sql).await;
}

both_engines! {
    async fn concurrent_step_replaces_unfinished_index(db: &Database) {
        let Some(pool) = pool(db) else { return };
        let steps = [Step::new(9_001, "9001_audit_by_action", INDEX)];
        for id in ["one", "two"] {
            add_audit_entry(db, id).await;
        }
        let failed = postgres_migrations::run(pool, &steps).await;
        assert!(failed.is_err(), "the entries have the same action");
        assert_eq!(db.count(VALID).await, 0);
        db.execute("DELETE FROM audit WHERE id = 'two'").await;
        for _ in 0..2 {
            postgres_migrations::run(pool, &steps).await.unwrap();
            assert_eq!(db.count(VALID).await, 1);
        }
    }

    async fn step_gives_way_to_users_of_locked_table(db: &Database) {
        let Some(pool) = pool(db) else { return };
        let steps = [Step::new(
            9_001,
            "9001_audit_note",
            "ALTER TABLE audit ADD COLUMN note TEXT",
        )];
        let mut reader = pool.begin().await.unwrap();
        reader.execute("SELECT COUNT(*) FROM audit").await.unwrap();
        let users = async {
            while db.count(WAITING).await == 0 {
                tokio::task::yield_now().await;
            }
            // Queues up behind the step, until that gives up.
            add_audit_entry(db, "one").await;
            assert_eq!(
                db.count("SELECT COUNT(*) FROM _sqlx_migrations WHERE version = 9001")
                    .await,
                0
            );
            reader.commit().await.unwrap();
        };
        let (migrated, ()) = tokio::join!(postgres_migrations::run(pool, &steps), users);
        migrated.unwrap();
        assert_eq!(db.count("SELECT COUNT(note) FROM audit").await, 0);
    }
}
