//! The conformance suite on SQLite, and tests of persistence and of group commit.

use std::path::PathBuf;

use butt_dial_testkit::bus_conformance;
use futures::FutureExt as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

use super::*;

const LONG: Duration = Duration::from_secs(60);

const EVENTS: StreamSpec = StreamSpec {
    name: "EVENTS",
    subjects: &["events.>"],
    dedup_window: LONG,
    max_age: LONG,
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

async fn read_all(bus: &EmbeddedBus, after: u64) -> Vec<u64> {
    let mut reader = bus.read_log("EVENTS", ">", after).await.unwrap();
    let entries = reader.next(10, Duration::ZERO).await.unwrap();
    entries.iter().map(|entry| entry.sequence).collect()
}

#[tokio::test]
async fn keeps_streams_after_unclean_close() {
    let directory = Directory::new();
    let bus = directory.bus().await;
    bus.create_stream(&EVENTS).await.unwrap();
    for id in ["1", "2", "3"] {
        bus.append("events.a", id, Headers::new(), Bytes::new()).await.unwrap();
    }
    assert_eq!(read_all(&bus, 0).await, [1, 2, 3]);
    std::mem::forget(bus);

    let bus = directory.bus().await;
    let again = bus.append("events.a", "3", Headers::new(), Bytes::new()).await.unwrap();
    assert_eq!(
        again,
        Appended {
            sequence: 3,
            duplicate: true
        }
    );
    assert_eq!(read_all(&bus, 0).await, [1, 2, 3]);
    assert_eq!(read_all(&bus, 2).await, [3], "the position is still valid");
}

#[tokio::test]
async fn works_in_memory_with_one_connection() {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect("sqlite::memory:")
        .await
        .unwrap();
    let bus = EmbeddedBus::open(pool, Clock::System).await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    bus.append("events.a", "1", Headers::new(), Bytes::new()).await.unwrap();
    assert_eq!(read_all(&bus, 0).await, [1]);
}

#[tokio::test]
async fn idle_reader_makes_no_query() {
    let directory = Directory::new();
    let pool = directory.pool().await;
    let bus = EmbeddedBus::open(pool.clone(), Clock::System).await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    let append = async |subject| bus.append(subject, "", Headers::new(), Bytes::new()).await.unwrap();
    append("events.a").await;
    let mut reader = bus.read_log("EVENTS", "events.b", 0).await.unwrap();
    let next = async |reader: &mut Box<dyn LogReader>| {
        let entries = reader.next(10, Duration::ZERO).await.unwrap();
        entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>()
    };
    assert_eq!(next(&mut reader).await, [0; 0]);
    append("events.a").await;
    // A query would fail now.
    sqlx::query("ALTER TABLE bus_messages RENAME TO elsewhere")
        .execute(&pool)
        .await
        .unwrap();
    assert_eq!(next(&mut reader).await, [0; 0]);
    sqlx::query("ALTER TABLE elsewhere RENAME TO bus_messages")
        .execute(&pool)
        .await
        .unwrap();
    append("events.b").await;
    assert_eq!(next(&mut reader).await, [3]);
    assert_eq!(next(&mut reader).await, [0; 0]);
}

#[tokio::test]
async fn reader_gets_an_append_with_a_dropped_caller() {
    let directory = Directory::new();
    let bus = directory.bus().await;
    bus.create_stream(&EVENTS).await.unwrap();
    let mut reader = bus.read_log("EVENTS", ">", 0).await.unwrap();
    assert_eq!(reader.next(10, Duration::ZERO).await.unwrap().len(), 0);
    {
        let append = bus.append("events.a", "1", Headers::new(), Bytes::new());
        assert!(append.now_or_never().is_none(), "it waits for the commit");
    }
    assert_eq!(reader.next(10, LONG).await.unwrap().len(), 1);
}

#[tokio::test]
async fn deletes_expired_messages_from_file() {
    let directory = Directory::new();
    let clock = Clock::manual(start_time());
    let pool = directory.pool().await;
    let bus = EmbeddedBus::open(pool.clone(), clock.clone()).await.unwrap();
    bus.create_stream(&EVENTS).await.unwrap();
    for id in ["1", "2"] {
        bus.append("events.a", id, Headers::new(), Bytes::new()).await.unwrap();
    }
    clock.advance(chrono::Duration::seconds(61));
    bus.append("events.a", "3", Headers::new(), Bytes::new()).await.unwrap();
    let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM bus_messages")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(count, 1);
}

#[tokio::test]
async fn pending_appends_share_transaction_after_cancellation() {
    let directory = Directory::new();
    let bus = directory.bus().await;
    bus.create_stream(&EVENTS).await.unwrap();
    let append = |id: &'static str| bus.append("events.a", id, Headers::new(), Bytes::new());
    // Another write is in progress, so appends gather in one group.
    let write = bus.log.begin_write().await.unwrap();
    let mut first = append("first");
    let (mut second, mut third) = (append("second"), append("third"));
    for pending in [&mut first, &mut second, &mut third] {
        assert!(futures::poll!(pending).is_pending());
    }
    drop(first);
    write.commit().await.unwrap();
    let (second, third) = tokio::join!(second, third);
    assert_eq!((second.unwrap().sequence, third.unwrap().sequence), (2, 3));

    // All callers of a group are gone: it is appended all the same, and the write lock is free again.
    let write = bus.log.begin_write().await.unwrap();
    let mut cancelled = append("cancelled");
    assert!(futures::poll!(&mut cancelled).is_pending());
    drop(cancelled);
    write.commit().await.unwrap();
    timeout(LONG / 2, bus.log.begin_write())
        .await
        .unwrap()
        .unwrap()
        .commit()
        .await
        .unwrap();
    assert_eq!(append("fifth").await.unwrap().sequence, 5);
}

#[tokio::test]
async fn append_failed_by_database_does_not_affect_others() {
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
    let write = bus.log.begin_write().await.unwrap();
    let (mut one, mut bad, mut two) = (append("one"), append("bad"), append("two"));
    for pending in [&mut one, &mut bad, &mut two] {
        assert!(futures::poll!(pending).is_pending());
    }
    write.commit().await.unwrap();
    let (one, bad, two) = tokio::join!(one, bad, two);
    assert_eq!((one.unwrap().sequence, two.unwrap().sequence), (1, 2), "no gap");
    assert!(bad.is_err());
}

fn start_time() -> chrono::DateTime<chrono::Utc> {
    "2026-11-22T12:00:00Z".parse().unwrap()
}
