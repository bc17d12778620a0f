//! The conformance suite on SQLite, and what only a file can do: be closed, opened again, and read by another.

use std::path::PathBuf;

use butt_dial_testkit::bus_conformance;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

use super::*;

const LONG: Duration = Duration::from_secs(60);

const EVENTS: StreamSpec = StreamSpec {
    name: "EVENTS",
    subjects: &["events.>"],
    dedup_window: LONG,
    max_age: LONG,
};

const READER: ConsumerSpec = ConsumerSpec {
    stream: "EVENTS",
    name: "reader",
    filter: ">",
    ack_wait: LONG,
    max_deliver: 3,
};

struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("butt-dial-bus-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    async fn pool(&self) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(self.0.join("test.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await
            .unwrap()
    }

    async fn bus(&self) -> EmbeddedBus {
        EmbeddedBus::open(self.pool().await, Clock::System).await.unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn open() -> (Arc<dyn Bus>, Directory) {
    let directory = Directory::new();
    (Arc::new(directory.bus().await), directory)
}

bus_conformance!(open);

#[tokio::test]
async fn streams_and_positions_survive_closing_without_notice() {
    let directory = Directory::new();
    let bus = directory.bus().await;
    bus.create_stream(&EVENTS).await.unwrap();
    for id in ["1", "2", "3"] {
        bus.append("events.a", id, Headers::new(), Bytes::new()).await.unwrap();
    }
    let reader = bus.consumer(&READER).await.unwrap();
    let mut deliveries = reader.fetch(2, LONG).await.unwrap();
    deliveries.remove(0).ack().await.unwrap();
    let in_hand = deliveries.remove(0);
    assert_eq!(in_hand.sequence(), 2);
    std::mem::forget((bus, reader));

    let bus = directory.bus().await;
    let again = bus.append("events.a", "3", Headers::new(), Bytes::new()).await.unwrap();
    assert_eq!(
        again,
        Appended {
            sequence: 3,
            duplicate: true
        }
    );
    let reader = bus.consumer(&READER).await.unwrap();
    let rest = reader.fetch(10, LONG).await.unwrap();
    assert_eq!(
        rest.iter().map(|delivery| delivery.sequence()).collect::<Vec<_>>(),
        [3],
        "2 is still in hand"
    );
    in_hand.nak(Duration::ZERO).await.unwrap();
    let back = reader.fetch(10, LONG).await.unwrap();
    assert_eq!(
        back.iter()
            .map(|delivery| (delivery.sequence(), delivery.attempt()))
            .collect::<Vec<_>>(),
        [(2, 2)]
    );
}

#[tokio::test]
async fn it_works_in_memory_with_a_single_connection() {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    let bus = EmbeddedBus::open(pool, Clock::System).await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    bus.append("events.a", "1", Headers::new(), Bytes::new()).await.unwrap();
    let reader = bus.consumer(&READER).await.unwrap();
    reader
        .fetch(1, LONG)
        .await
        .unwrap()
        .remove(0)
        .dead_letter("for the test")
        .await
        .unwrap();
    assert!(reader.fetch(1, Duration::ZERO).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_too_old_is_deleted_from_the_file() {
    let directory = Directory::new();
    let clock = Clock::manual(chrono_start());
    let pool = directory.pool().await;
    let bus = EmbeddedBus::open(pool.clone(), clock.clone()).await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    for id in ["1", "2"] {
        bus.append("events.a", id, Headers::new(), Bytes::new()).await.unwrap();
    }
    bus.consumer(&READER).await.unwrap().fetch(1, LONG).await.unwrap();
    clock.advance(chrono::Duration::seconds(61));
    bus.append("events.a", "3", Headers::new(), Bytes::new()).await.unwrap();
    for (statement, left) in [
        ("SELECT COUNT(*) FROM bus_messages", 1_i64),
        ("SELECT COUNT(*) FROM bus_pending", 0_i64),
    ] {
        let count: i64 = sqlx::query_scalar(statement).fetch_one(&pool).await.unwrap();
        assert_eq!(count, left, "{statement}");
    }
}

#[tokio::test]
async fn appends_that_wait_share_a_transaction_and_outlive_the_one_who_began_it() {
    let directory = Directory::new();
    let bus = directory.bus().await;
    bus.create_stream(&EVENTS).await.unwrap();
    let append = |id: &'static str| bus.append("events.a", id, Headers::new(), Bytes::new());
    // Somebody else writes: appends gather.
    let turn = bus.log.write().await.unwrap();
    let mut first = append("first");
    let (mut second, mut third) = (append("second"), append("third"));
    for waiting in [&mut first, &mut second, &mut third] {
        assert!(futures::poll!(waiting).is_pending());
    }
    drop(first);
    turn.commit().await.unwrap();
    let (second, third) = tokio::join!(second, third);
    assert_eq!((second.unwrap().sequence, third.unwrap().sequence), (2, 3));

    // All of them give up: nobody is kept waiting by them.
    let turn = bus.log.write().await.unwrap();
    let mut given_up = append("given up");
    assert!(futures::poll!(&mut given_up).is_pending());
    drop(given_up);
    turn.commit().await.unwrap();
    timeout(LONG / 2, bus.log.write())
        .await
        .unwrap()
        .unwrap()
        .commit()
        .await
        .unwrap();
    assert_eq!(append("fourth").await.unwrap().sequence, 4);
}

#[tokio::test]
async fn an_append_that_the_database_refuses_harms_no_other() {
    let directory = Directory::new();
    let bus = directory.bus().await;
    bus.create_stream(&EVENTS).await.unwrap();
    sqlx::query(
        "CREATE TRIGGER refuse BEFORE INSERT ON bus_messages WHEN NEW.id = 'bad'
         BEGIN SELECT RAISE(ABORT, 'refused'); END",
    )
    .execute(bus.log.pool())
    .await
    .unwrap();
    let append = |id: &'static str| bus.append("events.a", id, Headers::new(), Bytes::new());
    let turn = bus.log.write().await.unwrap();
    let (mut one, mut bad, mut two) = (append("one"), append("bad"), append("two"));
    for waiting in [&mut one, &mut bad, &mut two] {
        assert!(futures::poll!(waiting).is_pending());
    }
    turn.commit().await.unwrap();
    let (one, bad, two) = tokio::join!(one, bad, two);
    assert_eq!((one.unwrap().sequence, two.unwrap().sequence), (1, 2), "no gap");
    assert!(bad.is_err());
}

fn chrono_start() -> chrono::DateTime<chrono::Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}
