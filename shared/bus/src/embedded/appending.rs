//! Appending to the durable streams in SQLite, and forgetting what is too old. Appends that wait for their turn share one
//! transaction, because the commit is what costs. A sequence is never used twice, even after everything was forgotten.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::ports::bus::{Appended, BusError, Headers};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared, WeakShared},
};
use sqlx::SqliteConnection;

use super::log::{Log, Route, Write, unavailable};

/// Appends in one transaction at most, and their bytes: others that want to write have their turn in between.
const MOST: usize = 256;
const MOST_BYTES: usize = 4_194_304;

/// What is to be appended.
pub(super) struct Appending {
    pub(super) subject: String,
    pub(super) id: String,
    pub(super) headers: Headers,
    pub(super) payload: bytes::Bytes,
}

/// The last sequence of each stream that a transaction appended to. The transaction has the write lock, so nobody else
/// counts.
type Ends = BTreeMap<String, i64>;

/// Answers to a group, in its order.
type Answers = Arc<[Result<Appended, BusError>]>;

/// A group of appends that waits for its turn. It belongs to those who append: when all of them are gone, so is it, and
/// when one of them is, the others carry it on.
pub(super) struct Waiting {
    group: Arc<Mutex<Group>>,
    answers: WeakShared<BoxFuture<'static, Answers>>,
}

#[derive(Default)]
struct Group {
    appends: Vec<Appending>,
    bytes: usize,
    /// Its turn has come.
    closed: bool,
}

impl Group {
    fn takes(&self, append: &Appending) -> bool {
        !self.closed && self.appends.len() < MOST && self.bytes + append.payload.len() <= MOST_BYTES
    }

    fn add(&mut self, append: Appending) -> usize {
        self.bytes += append.payload.len();
        self.appends.push(append);
        self.appends.len() - 1
    }
}

impl Log {
    pub(super) async fn append(self: &Arc<Self>, append: Appending) -> Result<Appended, BusError> {
        let (answers, index) = self.join(append);
        let answers = answers.await;
        answers
            .get(index)
            .cloned()
            .unwrap_or_else(|| Err(unavailable("an append was not answered")))
    }

    /// The answers of the group that takes the append, and its place among them.
    fn join(self: &Arc<Self>, append: Appending) -> (Shared<BoxFuture<'static, Answers>>, usize) {
        let mut waiting = lock(&self.waiting);
        if let Some(Waiting { group, answers }) = &*waiting
            && let Some(answers) = answers.upgrade()
        {
            let mut group = lock(group);
            if group.takes(&append) {
                return (answers, group.add(append));
            }
        }
        let mut first = Group::default();
        let index = first.add(append);
        let group = Arc::new(Mutex::new(first));
        let answers = self.clone().append_group(group.clone()).boxed().shared();
        *waiting = answers.downgrade().map(|answers| Waiting { group, answers });
        (answers, index)
    }

    async fn append_group(self: Arc<Self>, group: Arc<Mutex<Group>>) -> Answers {
        let turn = self.write().await;
        let appends = {
            let mut group = lock(&group);
            group.closed = true;
            mem::take(&mut group.appends)
        };
        let together = match turn {
            Ok(write) => self.append_all(write, &appends).await,
            Err(error) => return appends.iter().map(|_| Err(error.clone())).collect(),
        };
        match together {
            Ok(answers) => answers.into(),
            // Whose fault it was shows when each is on its own.
            Err(_) if appends.len() > 1 => self.append_each(&appends).await,
            Err(error) => Arc::new([Err(error)]),
        }
    }

    async fn append_each(&self, appends: &[Appending]) -> Answers {
        let mut answers = Vec::with_capacity(appends.len());
        for append in appends {
            let answer = match self.write().await {
                Ok(write) => self.append_all(write, std::slice::from_ref(append)).await,
                Err(error) => Err(error),
            };
            answers.push(answer.and_then(|mut answers| answers.remove(0)));
        }
        answers.into()
    }

    /// In one transaction. What no stream takes is answered for itself; any other error is everyone's, and nothing is
    /// kept.
    async fn append_all(
        &self,
        mut write: Write<'_>,
        appends: &[Appending],
    ) -> Result<Vec<Result<Appended, BusError>>, BusError> {
        let mut answers = Vec::with_capacity(appends.len());
        let mut ends = Ends::new();
        for append in appends {
            let now = self.now();
            answers.push(match self.route(&append.subject, now) {
                Ok(route) => Ok(append_to(&mut write.sql, &mut ends, route, append, now).await?),
                Err(error) => Err(error),
            });
        }
        keep(&mut write.sql, &ends).await?;
        write.commit().await?;
        for stream in ends.keys() {
            self.announce(stream);
        }
        Ok(answers)
    }

    /// Part of a larger transaction; the caller announces the stream once it is committed.
    pub(super) async fn append_in(&self, sql: &mut SqliteConnection, append: &Appending) -> Result<(), BusError> {
        let now = self.now();
        let route = self.route(&append.subject, now)?;
        let mut ends = Ends::new();
        append_to(sql, &mut ends, route, append, now).await?;
        keep(sql, &ends).await
    }
}

/// The message, if it is new, with the next number of its stream.
async fn append_to(
    sql: &mut SqliteConnection,
    ends: &mut Ends,
    route: Route,
    append: &Appending,
    now: i64,
) -> Result<Appended, BusError> {
    if let Some(before) = route.sweep_before {
        sweep(sql, &route.stream, before).await?;
    }
    let last = match ends.entry(route.stream.clone()) {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(unknown) => unknown.insert(
            sqlx::query_scalar("SELECT last_sequence FROM bus_streams WHERE name = $1")
                .bind(&route.stream)
                .fetch_one(&mut *sql)
                .await
                .map_err(unavailable)?,
        ),
    };
    // As on NATS, a message without an id is never a duplicate.
    let inserted = sqlx::query(
        "INSERT INTO bus_messages (stream, sequence, subject, id, headers, payload, appended_at)
         SELECT $1, $2, $3, $4, $5, $6, $7 WHERE $4 = '' OR NOT EXISTS
         (SELECT 1 FROM bus_messages WHERE stream = $1 AND id = $4 AND appended_at > $8)",
    )
    .bind(&route.stream)
    .bind(*last + 1)
    .bind(&append.subject)
    .bind(&append.id)
    .bind(serde_json::to_string(&append.headers).map_err(unavailable)?)
    .bind(&append.payload[..])
    .bind(now)
    .bind(now - route.dedup_window)
    .execute(&mut *sql)
    .await
    .map_err(unavailable)?;
    if inserted.rows_affected() > 0 {
        *last += 1;
        return Ok(Appended {
            sequence: last.unsigned_abs(),
            duplicate: false,
        });
    }
    // The `+` keeps SQLite to the index by id: with the other it would read the whole stream.
    let known: i64 = sqlx::query_scalar(
        "SELECT sequence FROM bus_messages WHERE stream = $1 AND id = $2 ORDER BY +sequence DESC LIMIT 1",
    )
    .bind(&route.stream)
    .bind(&append.id)
    .fetch_one(sql)
    .await
    .map_err(unavailable)?;
    Ok(Appended {
        sequence: known.unsigned_abs(),
        duplicate: true,
    })
}

async fn keep(sql: &mut SqliteConnection, ends: &Ends) -> Result<(), BusError> {
    for (stream, last) in ends {
        sqlx::query("UPDATE bus_streams SET last_sequence = $2 WHERE name = $1")
            .bind(stream)
            .bind(last)
            .execute(&mut *sql)
            .await
            .map_err(unavailable)?;
    }
    Ok(())
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
