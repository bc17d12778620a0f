//! The durable streams in SQLite: creating them, appending, and forgetting what is too old. A sequence is never used
//! twice, even after everything was forgotten.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use butt_dial_domain::{
    Clock,
    ports::bus::{Appended, BusError, Headers, StreamSpec},
};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{Semaphore, SemaphorePermit, watch};

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

    pub(super) async fn append(
        &self,
        subject: &str,
        id: &str,
        headers: &Headers,
        payload: &[u8],
    ) -> Result<Appended, BusError> {
        let mut write = self.write().await?;
        let (name, appended) = self.append_in(&mut write.sql, subject, id, headers, payload).await?;
        write.commit().await?;
        self.announce(&name);
        Ok(appended)
    }

    /// Part of a larger transaction; the caller announces the stream whose name comes back once it is committed.
    pub(super) async fn append_in(
        &self,
        sql: &mut SqliteConnection,
        subject: &str,
        id: &str,
        headers: &Headers,
        payload: &[u8],
    ) -> Result<(String, Appended), BusError> {
        let now = self.now();
        let (name, dedup_window, sweep_before) = self.route(subject, now)?;
        if let Some(before) = sweep_before {
            sweep(sql, &name, before).await?;
        }
        // As on NATS, a message without an id is never a duplicate.
        if !id.is_empty() {
            let known: Option<i64> = sqlx::query_scalar(
                "SELECT sequence FROM bus_messages WHERE stream = $1 AND id = $2 AND appended_at > $3
                 ORDER BY sequence DESC LIMIT 1",
            )
            .bind(&name)
            .bind(id)
            .bind(now - dedup_window)
            .fetch_optional(&mut *sql)
            .await
            .map_err(unavailable)?;
            if let Some(sequence) = known {
                return Ok((
                    name,
                    Appended {
                        sequence: sequence.unsigned_abs(),
                        duplicate: true,
                    },
                ));
            }
        }
        let sequence: i64 = sqlx::query_scalar(
            "UPDATE bus_streams SET last_sequence = last_sequence + 1 WHERE name = $1 RETURNING last_sequence",
        )
        .bind(&name)
        .fetch_one(&mut *sql)
        .await
        .map_err(unavailable)?;
        sqlx::query(
            "INSERT INTO bus_messages (stream, sequence, subject, id, headers, payload, appended_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(&name)
        .bind(sequence)
        .bind(subject)
        .bind(id)
        .bind(serde_json::to_string(headers).map_err(unavailable)?)
        .bind(payload)
        .bind(now)
        .execute(&mut *sql)
        .await
        .map_err(unavailable)?;
        Ok((
            name,
            Appended {
                sequence: sequence.unsigned_abs(),
                duplicate: false,
            },
        ))
    }

    /// The stream that takes the subject, its window, and the time before which its messages are to be swept now.
    fn route(&self, subject: &str, now: i64) -> Result<(String, i64, Option<i64>), BusError> {
        let mut streams = self.streams();
        let (name, stream) = streams
            .iter_mut()
            .find(|(_, stream)| stream.subjects.iter().any(|pattern| matches(pattern, subject)))
            .ok_or_else(|| no_stream_takes(subject))?;
        let sweep_before = (now - stream.swept_at >= SWEEP_EVERY).then_some(now - stream.max_age);
        if sweep_before.is_some() {
            stream.swept_at = now;
        }
        Ok((name.clone(), stream.dedup_window, sweep_before))
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

async fn sweep(sql: &mut SqliteConnection, stream: &str, before: i64) -> Result<(), BusError> {
    for statement in [
        "DELETE FROM bus_pending WHERE stream = $1 AND sequence IN
         (SELECT sequence FROM bus_messages WHERE stream = $1 AND appended_at <= $2)",
        "DELETE FROM bus_messages WHERE stream = $1 AND appended_at <= $2",
    ] {
        sqlx::query(statement)
            .bind(stream)
            .bind(before)
            .execute(&mut *sql)
            .await
            .map_err(unavailable)?;
    }
    Ok(())
}

pub(super) fn micros(duration: Duration) -> i64 {
    // Half of the range leaves room for adding it to a time.
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 2)
}

pub(super) fn unavailable(error: impl std::fmt::Display) -> BusError {
    BusError::Unavailable(error.to_string())
}
