//! A database that is gone, stuck or locked: told in time, and used again by itself once it is back.

use std::time::{Duration, Instant};

use butt_dial_testkit::{proxy::Proxy, servers::Postgres};
use sqlx::{Connection as _, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio_util::task::TaskTracker;

use super::*;
use crate::Acceptance;

/// Longer than a caller may have to wait for the news that the database is gone.
const PROMPTLY: Duration = Duration::from_secs(3);
/// Connections of the pool: each may have to fail once before it is replaced.
const CONNECTIONS: u32 = 4;

async fn is_promptly_unavailable<T>(what: impl Future<Output = Result<T, StoreError>>) {
    let start = Instant::now();
    let error = what.await.err().expect("an error");
    assert!(error.is_unavailable(), "{error}");
    assert!(start.elapsed() < PROMPTLY, "told after {:?}", start.elapsed());
}

both_engines! {
    async fn postgres_servers_that_stop_are_told_and_used_again(db: &Database) {
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
            is_promptly_unavailable(store.check()).await;
            is_promptly_unavailable(store.find_message(&first.id)).await;
            is_promptly_unavailable(store.accept_send(second.clone())).await;
            is_promptly_unavailable(store.settle_send(settled(&first.id, accepted(1)))).await;
            is_promptly_unavailable(store.claim_unsettled(1, morning(), morning())).await;
        }
        is_promptly_unavailable(Store::connect(&url, 1, &tasks)).await;

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

    async fn servers_that_say_nothing_do_not_hold_up_sends_for_good(db: &Database) {
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
        // A connection that is at hand, so that it is the write that hangs and not the wait for a new one.
        while store.pool_size().1 == 0 {
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

    async fn a_migration_may_take_longer_than_a_statement(db: &Database) {
        if !db.is_postgres() {
            return;
        }
        let mut other = PgConnection::connect(&db.url).await.unwrap();
        let mut tx = other.begin().await.unwrap();
        sqlx::query("LOCK TABLE _sqlx_migrations, agents").execute(&mut *tx).await.unwrap();
        let late = async {
            const WAITING: &str = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted";
            while db.count(WAITING).await == 0 {}
            // This began after the migration and has been given up already: the migration is still waiting.
            assert!(db.find_profile(&AgentId::generate()).await.unwrap_err().is_unavailable());
            tx.commit().await.unwrap();
        };
        let (migrated, ()) = tokio::join!(db.migrate(), late);
        migrated.unwrap();
        // What reads and writes afterwards is still cut off when it takes too long.
        let unlimited = "SELECT COUNT(*) FROM pg_settings WHERE name = 'statement_timeout' AND setting = '0'";
        for _ in 0..16 {
            assert_eq!(db.count(unlimited).await, 0);
        }
    }

    async fn a_write_that_waits_too_long_for_a_lock_may_be_tried_again(db: &Database) {
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
