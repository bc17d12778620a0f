//! The durable streams in SQLite: tables, settings, the write lock, and wake-ups of readers.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use butt_dial_domain::{
    Clock,
    ports::bus::{BusError, StreamSpec},
};
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio_util::task::TaskTracker;

use super::pending_group::PendingGroup;
use crate::{
    subject::matches,
    validation::{check_pattern, no_stream_for, unknown_stream},
};

/// The shortest time between two sweeps of a stream, in microseconds.
const SWEEP_INTERVAL: i64 = 60_000_000;

const TABLES: [&str; 3] = [
    "CREATE TABLE IF NOT EXISTS bus_streams (
        name TEXT PRIMARY KEY,
        subjects TEXT NOT NULL,
        dedup_window BIGINT NOT NULL,
        max_age BIGINT NOT NULL,
        last_sequence BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS bus_messages (
        stream TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        subject TEXT NOT NULL,
        id TEXT NOT NULL,
        headers TEXT NOT NULL,
        payload BLOB NOT NULL,
        appended_at BIGINT NOT NULL,
        PRIMARY KEY (stream, sequence))",
    "CREATE INDEX IF NOT EXISTS bus_messages_by_id ON bus_messages (stream, id)",
];

pub(super) struct Log {
    pool: SqlitePool,
    clock: Clock,
    streams: Mutex<HashMap<String, Stream>>,
    /// SQLite has one writer and no queue. Writers queue here instead of failing there.
    write_lock: Semaphore,
    /// The appends that wait for the next transaction.
    pub(super) pending: Mutex<Option<PendingGroup>>,
    /// The appends that are in progress.
    pub(super) tasks: TaskTracker,
}

struct Stream {
    subjects: Vec<String>,
    /// In microseconds.
    dedup_window: i64,
    /// In microseconds.
    max_age: i64,
    readers: Vec<WaitingReader>,
    swept_at: i64,
}

/// A reader that is notified of appends to its subjects. Without this, each append would make every reader query.
struct WaitingReader {
    filter: String,
    /// Gone with its reader.
    appended: Weak<Notify>,
}

impl Stream {
    fn new(subjects: Vec<String>, dedup_window: i64, max_age: i64, readers: Vec<WaitingReader>) -> Self {
        Self {
            subjects,
            dedup_window,
            max_age,
            readers,
            swept_at: 0,
        }
    }
}

/// The stream that a subject belongs to.
pub(super) struct Route {
    pub(super) stream: String,
    /// In microseconds.
    pub(super) dedup_window: i64,
    /// Messages up to this time are to be deleted. `None` when no sweep is due.
    pub(super) sweep_before: Option<i64>,
}

/// A transaction that holds the write lock from its start, so that the rows it reads can't change before it writes.
pub(super) struct WriteTransaction<'a> {
    pub(super) sql: Transaction<'static, Sqlite>,
    _lock: SemaphorePermit<'a>,
}

impl WriteTransaction<'_> {
    pub(super) async fn commit(self) -> Result<(), BusError> {
        self.sql.commit().await.map_err(unavailable)
    }
}

impl Log {
    pub(super) async fn open(pool: SqlitePool, clock: Clock) -> Result<Self, BusError> {
        for table in TABLES {
            sqlx::query(table).execute(&pool).await.map_err(unavailable)?;
        }
        let rows: Vec<(String, String, i64, i64)> =
            sqlx::query_as("SELECT name, subjects, dedup_window, max_age FROM bus_streams")
                .fetch_all(&pool)
                .await
                .map_err(unavailable)?;
        let streams = rows.into_iter().map(|(name, subjects, dedup_window, max_age)| {
            let subjects = subjects.split(' ').map(str::to_owned).collect();
            let stream = Stream::new(subjects, dedup_window, max_age, Vec::new());
            (name, stream)
        });
        let streams = Mutex::new(streams.collect());
        Ok(Self {
            pool,
            clock,
            streams,
            write_lock: Semaphore::new(1),
            pending: Mutex::default(),
            tasks: TaskTracker::new(),
        })
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// Returns the time in microseconds since 1970.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }

    /// Returns how long messages of the stream are kept, in microseconds.
    pub(super) fn max_age(&self, stream: &str) -> Result<i64, BusError> {
        let streams = self.streams();
        let found = streams.get(stream).ok_or_else(|| unknown_stream(stream))?;
        Ok(found.max_age)
    }

    /// Registers a reader. It is notified after each append to a subject that its filter matches.
    pub(super) fn register_reader(&self, stream: &str, filter: &str) -> Result<Arc<Notify>, BusError> {
        let mut streams = self.streams();
        let found = streams.get_mut(stream).ok_or_else(|| unknown_stream(stream))?;
        found.readers.retain(|reader| reader.appended.strong_count() > 0);
        let appended = Arc::new(Notify::new());
        found.readers.push(WaitingReader {
            filter: filter.to_owned(),
            appended: Arc::downgrade(&appended),
        });
        Ok(appended)
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<String, Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn begin_write(&self) -> Result<WriteTransaction<'_>, BusError> {
        let lock = self.write_lock.acquire().await.map_err(unavailable)?;
        let sql = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
        Ok(WriteTransaction { sql, _lock: lock })
    }

    pub(super) async fn create_stream(&self, spec: &StreamSpec) -> Result<(), BusError> {
        for subject in spec.subjects {
            check_pattern(subject)?;
        }
        let (dedup_window, max_age) = (micros(spec.dedup_window), micros(spec.max_age));
        sqlx::query(
            "INSERT INTO bus_streams (name, subjects, dedup_window, max_age, last_sequence) VALUES ($1, $2, $3, $4, 0)
             ON CONFLICT (name) DO UPDATE SET subjects = excluded.subjects, dedup_window = excluded.dedup_window,
             max_age = excluded.max_age",
        )
        .bind(spec.name)
        .bind(spec.subjects.join(" "))
        .bind(dedup_window)
        .bind(max_age)
        .execute(&self.pool)
        .await
        .map_err(unavailable)?;
        let mut streams = self.streams();
        let existing = streams.remove(spec.name);
        let readers = existing.map(|stream| stream.readers).unwrap_or_default();
        let subjects = spec.subjects.iter().map(|&subject| subject.to_owned()).collect();
        let stream = Stream::new(subjects, dedup_window, max_age, readers);
        streams.insert(spec.name.to_owned(), stream);
        Ok(())
    }

    pub(super) fn route(&self, subject: &str, now: i64) -> Result<Route, BusError> {
        let mut streams = self.streams();
        let (name, stream) = streams
            .iter_mut()
            .find(|(_, stream)| stream.subjects.iter().any(|pattern| matches(pattern, subject)))
            .ok_or_else(|| no_stream_for(subject))?;
        let sweep_before = (now - stream.swept_at >= SWEEP_INTERVAL).then_some(now - stream.max_age);
        if sweep_before.is_some() {
            stream.swept_at = now;
        }
        Ok(Route {
            stream: name.clone(),
            dedup_window: stream.dedup_window,
            sweep_before,
        })
    }

    pub(super) async fn last_position(&self, stream: &str, subject: &str) -> Result<u64, BusError> {
        let last: Option<i64> = sqlx::query_scalar(
            "SELECT sequence FROM bus_messages WHERE stream = $1 AND subject = $2 ORDER BY sequence DESC LIMIT 1",
        )
        .bind(stream)
        .bind(subject)
        .fetch_optional(&self.pool)
        .await
        .map_err(unavailable)?;
        Ok(last.unwrap_or_default().unsigned_abs())
    }

    /// Notifies the readers of these subjects.
    pub(super) fn notify_readers(&self, subjects: &BTreeSet<&str>) {
        let streams = self.streams();
        for reader in streams.values().flat_map(|stream| &stream.readers) {
            if subjects.iter().any(|subject| matches(&reader.filter, subject))
                && let Some(appended) = reader.appended.upgrade()
            {
                appended.notify_one();
            }
        }
    }

    pub(super) async fn check(&self) -> Result<(), BusError> {
        let _: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM bus_streams")
            .fetch_one(&self.pool)
            .await
            .map_err(unavailable)?;
        Ok(())
    }
}

fn micros(duration: Duration) -> i64 {
    // Half of the range, so that it can be added to a time without overflow.
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2)
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> BusError {
    BusError::Unavailable(error.to_string())
}
