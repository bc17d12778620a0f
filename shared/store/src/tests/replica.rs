//! Lists on a real streaming replica: its data is used while it is new enough, and the primary answers otherwise.

use std::time::Duration;

use butt_dial_testkit::servers::run_sql;

use super::*;
use crate::MessageFilter;

const LONG: Duration = Duration::from_secs(3_600);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(30);

const ASKED: &str = "SELECT COUNT(*) FROM pg_stat_activity
    WHERE query LIKE '%pg_is_in_recovery%' AND state = 'idle' AND pid <> pg_backend_pid()";

async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !reached().await {
            tokio::time::sleep(POLL_INTERVAL).await; // not a synchronisation: a pause between two polls
        }
    };
    assert!(tokio::time::timeout(LIMIT, wait).await.is_ok(), "{what}");
}

async fn until_used(store: &Store, is_used: bool) {
    until("the replica changes its state", async || {
        store.replica_status().unwrap().is_used == is_used
    })
    .await;
}

async fn listed(store: &Store, agent: &Agent) -> usize {
    let found = store
        .list_messages(&agent.org_id, &MessageFilter::default(), None, 100)
        .await;
    found.unwrap().messages.len()
}

both_engines! {
    async fn lists_come_from_replica_that_is_new_enough(db: &Database) {
        if !db.is_postgres() {
            assert_eq!(db.replica_status(), None);
            return;
        }
        let db = Database::postgres_alone().await;
        let agent = new_agent(&db).await;
        let replica = db.server().start_replica().await;
        let patient = db.with_streaming_replica(&replica, LONG).await;
        let strict = db.with_streaming_replica(&replica, Duration::from_secs(2)).await;
        for store in [&patient, &strict] {
            until_used(store, true).await;
        }
        let url = replica.url_of(&db.url);
        run_sql(&url, "SELECT pg_wal_replay_pause()").await;
        let send = text(&agent, "k");
        patient.accept_send(send.clone()).await.unwrap();
        // The list is that of the replica. Decisions read the primary.
        assert_eq!(listed(&patient, &agent).await, 0);
        assert!(patient.find_message(&send.id).await.unwrap().is_some());
        until_used(&strict, false).await;
        assert_eq!(listed(&strict, &agent).await, 1);
        assert!(strict.replica_status().unwrap().lag.unwrap() > 2.0);
        run_sql(&url, "SELECT pg_wal_replay_resume()").await;
        until_used(&strict, true).await;
        until("the replica has caught up", async || listed(&patient, &agent).await == 1).await;
        assert_eq!(patient.replica_status().unwrap().fallbacks, 0);
        drop((patient, strict));
        db.finish().await;
    }

    async fn primary_answers_lists_without_replica(db: &Database) {
        if !db.is_postgres() {
            return;
        }
        let db = Database::postgres_alone().await;
        let agent = new_agent(&db).await;
        let mut replica = db.server().start_replica().await;
        let store = db.with_streaming_replica(&replica, LONG).await;
        until_used(&store, true).await;
        store.accept_send(text(&agent, "k")).await.unwrap();
        replica.kill();
        // Whether its loss was noticed before or not.
        assert_eq!(listed(&store, &agent).await, 1);
        until_used(&store, false).await;
        assert_eq!(listed(&store, &agent).await, 1);
        replica.start_again().await;
        until_used(&store, true).await;
        // A start without the replica.
        replica.stop().await;
        let late = db.with_streaming_replica(&replica, LONG).await;
        assert_eq!(listed(&late, &agent).await, 1);
        assert!(!late.replica_status().unwrap().is_used);
        drop((store, late));
        db.finish().await;
    }

    async fn server_that_is_no_replica_is_not_used(db: &Database) {
        if !db.is_postgres() {
            return;
        }
        let db = Database::postgres_alone().await;
        let agent = new_agent(&db).await;
        // The same data, which another primary would not have.
        let store = db.with_streaming_replica(db.server(), LONG).await;
        store.accept_send(text(&agent, "k")).await.unwrap();
        until("the server was asked", async || db.count(ASKED).await > 0).await;
        assert_eq!(listed(&store, &agent).await, 1);
        let status = store.replica_status().unwrap();
        assert_eq!((status.is_used, status.lag), (false, None));
        drop(store);
        db.finish().await;
    }
}
