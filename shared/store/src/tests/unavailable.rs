//! A database that is stopped, stuck or locked: calls fail in time, and the store reconnects automatically.

use std::time::{Duration, Instant};

use butt_dial_testkit::{proxy::Proxy, servers::Postgres};
use sqlx::{Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio_util::task::TaskTracker;

use super::*;
use crate::Acceptance;

/// The longest time until a call fails when the database is unavailable.
const FAILS_WITHIN: Duration = Duration::from_secs(3);
/// Connections of the pool: each may have to fail once before it is replaced.
const CONNECTIONS: u32 = 4;

async fn assert_fails_as_unavailable<T>(call: impl Future<Output = Result<T, StoreError>>) {
    let start = Instant::now();
    let error = call.await.err().expect("an error");
    assert!(error.is_unavailable(), "{error}");
    assert!(start.elapsed() < FAILS_WITHIN, "failed after {:?}", start.elapsed());
}

both_engines! {
    async fn reports_stopped_server_and_reconnects(db: &Database) {
        if !db.is_postgres() {
            return;
        }
        let mut server = Postgres::start().await;
        let url = server.database().await;
        let tasks = TaskTracker::new();
        let store = Store::connect(&url, CONNECTIONS, &tasks).await.unwrap();
        store.migrate().await.unwrap();
        let agent = new_agent(&store).await;
        let (first, second) = (text(&agent, "first"), text(&agent, "second"));
        store.accept_send(first.clone()).await.unwrap();
        // All connections are open, so that each of them breaks.
        tokio::join!(
            async { store.check().await.unwrap() },
            async { store.check().await.unwrap() },
            async { store.check().await.unwrap() },
            async { store.check().await.unwrap() }
        );

        server.stop().await;
        for _ in 0..2 {
            assert_fails_as_unavailable(store.check()).await;
            assert_fails_as_unavailable(store.find_message(&first.id)).await;
            assert_fails_as_unavailable(store.accept_send(second.clone())).await;
            assert_fails_as_unavailable(store.settle_send(settled(&first.id, accepted(1)))).await;
            assert_fails_as_unavailable(store.claim_unsettled(1, morning(), morning())).await;
        }
        assert_fails_as_unavailable(Store::connect(&url, 1, &tasks)).await;

        server.start_again().await;
        let mut failures = 0;
        while let Err(error) = store.accept_send(second.clone()).await {
            assert!(error.is_unavailable(), "{error}");
            failures += 1;
            assert!(failures <= CONNECTIONS, "the broken connections are still in use");
        }
        assert_eq!(store.accept_send(second.clone()).await.unwrap(), Acceptance::Accepted);
        assert!(store.settle_send(settled(&first.id, accepted(1))).await.unwrap());
        assert_eq!(spend(&store, &format!("agt:{}", agent.id)).await, (ESTIMATE, 1));
    }

    async fn times_out_when_server_does_not_answer(db: &Database) {
        if !db.is_postgres() {
            return;
        }
        let (address, database) = db.url.rsplit_once('/').unwrap();
        let proxy = Proxy::start(address.rsplit_once('@').unwrap().1).await;
        let through = format!("postgres://postgres@{}/{database}", proxy.address());
        let store = Store::connect(&through, CONNECTIONS, &TaskTracker::new()).await.unwrap();
        let agent = new_agent(db).await;
        let send = text(&agent, "k");
        store.accept_send(text(&agent, "before")).await.unwrap();
        // An idle connection, so that the write hangs and not the wait for a new connection.
        while store.pool_status().idle == 0 {
            tokio::task::yield_now().await;
        }

        proxy.stall().await;
        assert!(store.accept_send(send.clone()).await.unwrap_err().is_unavailable());
        proxy.heal().await;
        proxy.cut().await;
        let mut failures = 0;
        while let Err(error) = store.accept_send(send.clone()).await {
            assert!(error.is_unavailable(), "{error}");
            failures += 1;
            assert!(failures <= CONNECTIONS, "the broken connections are still in use");
        }
        assert!(db.find_message(&send.id).await.unwrap().is_some());
    }

    async fn migration_ignores_statement_timeout(db: &Database) {
        if !db.is_postgres() {
            return;
        }
        let mut other = PgConnection::connect(&db.url).await.unwrap();
        let mut tx = other.begin().await.unwrap();
        sqlx::query("LOCK TABLE _sqlx_migrations, agents").execute(&mut *tx).await.unwrap();
        let late = async {
            const WAITING: &str = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted";
            while db.count(WAITING).await == 0 {}
            // This statement began after the migration and was canceled already: the migration still waits.
            assert!(db.find_profile(&AgentId::generate()).await.unwrap_err().is_unavailable());
            tx.commit().await.unwrap();
        };
        let (migrated, ()) = tokio::join!(db.migrate(), late);
        migrated.unwrap();
        // Later statements still have the statement timeout.
        let unlimited = "SELECT COUNT(*) FROM pg_settings WHERE name = 'statement_timeout' AND setting = '0'";
        for _ in 0..16 {
            assert_eq!(db.count(unlimited).await, 0);
        }
    }

    async fn write_can_be_repeated_after_lock_timeout(db: &Database) {
        let agent = new_agent(db).await;
        let (first, second) = (text(&agent, "first"), text(&agent, "second"));
        db.accept_send(first.clone()).await.unwrap();
        let before = db.ledger().await;
        let blocked = async || {
            let both = tokio::join!(
                db.accept_send(second.clone()),
                db.settle_send(settled(&first.id, accepted(1)))
            );
            assert!(both.0.unwrap_err().is_unavailable());
            assert!(both.1.unwrap_err().is_unavailable());
        };
        if db.is_postgres() {
            let mut other = PgConnection::connect(&db.url).await.unwrap();
            let mut tx = other.begin().await.unwrap();
            sqlx::query("UPDATE spend SET cap = cap").execute(&mut *tx).await.unwrap();
            blocked().await;
            tx.rollback().await.unwrap();
        } else {
            let path = db.url.strip_prefix("sqlite:").unwrap();
            let options = SqliteConnectOptions::new().filename(path);
            let mut other = SqliteConnection::connect_with(&options).await.unwrap();
            let tx = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
            blocked().await;
            tx.rollback().await.unwrap();
        }
        assert_eq!(db.ledger().await, before);
        assert_eq!(db.accept_send(second).await.unwrap(), Acceptance::Accepted);
        assert!(db.settle_send(settled(&first.id, accepted(1))).await.unwrap());
    }
}
