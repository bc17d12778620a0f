//! The durable streams in SQLite: their tables, their settings, the turn to write, and who is woken.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_domain::{
    Clock,
    ports::bus::{BusError, StreamSpec},
};
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use super::appending::Waiting;
use crate::{
    rules::{check_pattern, no_stream, no_stream_takes},
    subject::matches,
};

/// Old messages are looked for at most this often in each stream, in microseconds.
const SWEEP_EVERY: i64 = 60_000_000;

const TABLES: [&str; 5] = [
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
    // `position`: everything up to it was delivered at least once or does not match the filter.
    "CREATE TABLE IF NOT EXISTS bus_consumers (
        stream TEXT NOT NULL,
        name TEXT NOT NULL,
        filter TEXT NOT NULL,
        position BIGINT NOT NULL,
        PRIMARY KEY (stream, name))",
    // Delivered and not yet answered for good. `due_at`: when it comes again.
    "CREATE TABLE IF NOT EXISTS bus_pending (
        stream TEXT NOT NULL,
        consumer TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        attempts BIGINT NOT NULL,
        due_at BIGINT NOT NULL,
        PRIMARY KEY (stream, consumer, sequence))",
];

pub(super) struct Log {
    pool: SqlitePool,
    clock: Clock,
    streams: Mutex<HashMap<String, Stream>>,
    /// SQLite has one writer and no queue: ours wait in line here instead of colliding there.
    writer: Semaphore,
    /// The appends that wait for the next transaction.
    pub(super) waiting: Mutex<Option<Waiting>>,
}

#[derive(Clone)]
pub(super) struct Stream {
    subjects: Vec<String>,
    /// In microseconds.
    dedup_window: i64,
    /// In microseconds.
    pub(super) max_age: i64,
    /// Changes whenever a consumer may find something new.
    pub(super) changes: watch::Sender<()>,
    swept_at: i64,
}

/// The stream that takes a subject.
pub(super) struct Route {
    pub(super) stream: String,
    /// In microseconds.
    pub(super) dedup_window: i64,
    /// The time before which its messages are to be swept now, if they are.
    pub(super) sweep_before: Option<i64>,
}

/// A transaction that holds the write lock from the start, so that what it reads can't change before it writes.
pub(super) struct Write<'a> {
    pub(super) sql: Transaction<'static, Sqlite>,
    _turn: SemaphorePermit<'a>,
}

impl Write<'_> {
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
            (
                name,
                Stream {
                    subjects,
                    dedup_window,
                    max_age,
                    changes: watch::Sender::new(()),
                    swept_at: 0,
                },
            )
        });
        let streams = Mutex::new(streams.collect());
        Ok(Self {
            pool,
            clock,
            streams,
            writer: Semaphore::new(1),
            waiting: Mutex::default(),
        })
    }

    pub(super) fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// In microseconds.
    pub(super) fn now(&self) -> i64 {
        self.clock.now().timestamp_micros()
    }

    pub(super) fn stream(&self, name: &str) -> Result<Stream, BusError> {
        self.streams().get(name).cloned().ok_or_else(|| no_stream(name))
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<String, Stream>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn write(&self) -> Result<Write<'_>, BusError> {
        let turn = self.writer.acquire().await.map_err(unavailable)?;
        let sql = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(unavailable)?;
        Ok(Write { sql, _turn: turn })
    }

    /// With `update`, a stream that exists takes over the settings; without, it stays as it is.
    pub(super) async fn create(&self, spec: &StreamSpec, update: bool) -> Result<(), BusError> {
        for subject in spec.subjects {
            check_pattern(subject)?;
        }
        if !update && self.streams().contains_key(spec.name) {
            return Ok(());
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
        let known = streams.remove(spec.name);
        let changes = known.map_or_else(|| watch::Sender::new(()), |stream| stream.changes);
        let subjects = spec.subjects.iter().map(|&subject| subject.to_owned()).collect();
        streams.insert(
            spec.name.to_owned(),
            Stream {
                subjects,
                dedup_window,
                max_age,
                changes,
                swept_at: 0,
            },
        );
        Ok(())
    }

    pub(super) fn route(&self, subject: &str, now: i64) -> Result<Route, BusError> {
        let mut streams = self.streams();
        let (name, stream) = streams
            .iter_mut()
            .find(|(_, stream)| stream.subjects.iter().any(|pattern| matches(pattern, subject)))
            .ok_or_else(|| no_stream_takes(subject))?;
        let sweep_before = (now - stream.swept_at >= SWEEP_EVERY).then_some(now - stream.max_age);
        if sweep_before.is_some() {
            stream.swept_at = now;
        }
        Ok(Route {
            stream: name.clone(),
            dedup_window: stream.dedup_window,
            sweep_before,
        })
    }

    /// Wakes the consumers that wait on the stream.
    pub(super) fn announce(&self, stream: &str) {
        if let Some(stream) = self.streams().get(stream) {
            stream.changes.send_replace(());
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

pub(super) fn micros(duration: Duration) -> i64 {
    // Half of the range leaves room for adding it to a time.
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2)
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> BusError {
    BusError::Unavailable(error.to_string())
}
