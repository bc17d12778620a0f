//! Connecting, migrating and closing.

use butt_dial_testkit::servers::fresh_postgres_database;
use futures::future::join_all;
use tokio_util::task::TaskTracker;

use super::*;

async fn connect_error(url: &str) -> StoreError {
    match Store::connect(url, 2, &TaskTracker::new()).await {
        Ok(_) => panic!("{url} was connected to"),
        Err(error) => error,
    }
}

both_engines! {
    async fn check_succeeds(db: &Database) {
        db.check().await.unwrap();
        let pool = db.pool_status();
        assert!(pool.open >= 1 && pool.idle <= pool.open as usize);
        assert_eq!(db.sqlite_writer().is_some(), !db.is_postgres());
    }

    async fn counts_waits_for_connections(db: &Database) {
        let store = db.single_connection_replica().await;
        store.check().await.unwrap();
        let before = store.pool_status();
        if !db.is_postgres() {
            assert_eq!((before.waits, before.waiting), (0, 0));
            return;
        }
        let held = store.begin().await.unwrap();
        let release = async {
            while store.pool_status().waiting == 0 {
                tokio::task::yield_now().await;
            }
            let since = store.pool_status().waited;
            held.commit().await.unwrap();
            since
        };
        let (checked, since) = tokio::join!(store.check(), release);
        checked.unwrap();
        let after = store.pool_status();
        assert_eq!((after.waits, after.waiting), (before.waits + 2, 0));
        assert!(after.waited > since);

        // A statement that is given up does not wait any more.
        let held = store.begin().await.unwrap();
        let mut given_up = Box::pin(store.check());
        assert!(futures::poll!(&mut given_up).is_pending());
        assert_eq!(store.pool_status().waiting, 1);
        drop(given_up);
        assert_eq!(store.pool_status().waiting, 0);
        held.commit().await.unwrap();
    }

    async fn rejects_invalid_address(_db: &Database) {
        for url in ["", "mysql://localhost/x", "data.db", "postgres://:::not a port"] {
            assert!(matches!(connect_error(url).await, StoreError::Config(_)), "{url}");
        }
        assert!(matches!(connect_error("sqlite:/dev/null/x/store.db").await, StoreError::Config(_)));
    }

    async fn repeated_migration_changes_nothing(db: &Database) {
        let agent = new_agent(db).await;
        let steps = "SELECT COUNT(*) FROM _sqlx_migrations WHERE success";
        let before = db.count(steps).await;
        db.migrate().await.unwrap();
        db.replica().await.migrate().await.unwrap();
        assert_eq!(db.count(steps).await, before);
        assert_eq!(db.find_agent(&agent.org_id, &agent.id).await.unwrap(), Some(agent));
    }

    async fn newer_schema_counts_as_migrated(db: &Database) {
        assert!(db.is_migrated().await.unwrap());
        db.execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                VALUES (9999, 'newer', true, 'x', 0)",
        )
        .await;
        assert!(db.is_migrated().await.unwrap());
        db.migrate().await.unwrap();
        db.execute("DELETE FROM _sqlx_migrations WHERE version = 2").await;
        assert!(!db.is_migrated().await.unwrap());
        db.execute("DROP TABLE _sqlx_migrations").await;
        assert!(!db.is_migrated().await.unwrap());
    }

    async fn four_replicas_migrate_at_once(db: &Database) {
        // On Postgres all begin with an empty database; on SQLite one process migrates first.
        let (url, _server) = if db.is_postgres() {
            fresh_postgres_database().await
        } else {
            (db.url.clone(), None)
        };
        let tasks = TaskTracker::new();
        let replicas = join_all((0..4).map(|_| Store::connect(&url, 2, &tasks))).await;
        let replicas: Vec<Store> = replicas.into_iter().map(Result::unwrap).collect();
        for migrated in join_all(replicas.iter().map(Store::migrate)).await {
            migrated.unwrap();
        }
        for store in &replicas {
            store.accept_send(text(&new_agent(store).await, "k")).await.unwrap();
        }
    }

    async fn data_survives_restart(db: &Database) {
        let agent = new_agent(db).await;
        let send = text(&agent, "k");
        let tasks = TaskTracker::new();
        let first = Store::connect(&db.url, 2, &tasks).await.unwrap();
        first.accept_send(send.clone()).await.unwrap();
        first.close().await;
        drop(first);
        tasks.close();
        tasks.wait().await;
        assert!(db.replica().await.find_message(&send.id).await.unwrap().is_some());
    }

    async fn closed_store_is_unavailable(db: &Database) {
        let agent = new_agent(db).await;
        let store = db.replica().await;
        store.close().await;
        assert!(store.check().await.unwrap_err().is_unavailable());
        assert!(store.accept_send(text(&agent, "k")).await.unwrap_err().is_unavailable());
        assert!(store.settle_send(settled(&MessageId::generate(), accepted(1))).await.unwrap_err().is_unavailable());
        db.check().await.unwrap();
    }
}
