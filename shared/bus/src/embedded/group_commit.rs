//! Appends to the durable streams in SQLite, and deletion of expired messages. Concurrent appends share one transaction,
//! because the commit dominates the cost. A sequence is never used twice, even after all messages have expired.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use butt_dial_domain::ports::bus::{Appended, BusError};
use futures::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use sqlx::SqliteConnection;

use super::{
    log::{Log, Route, WriteTransaction, unavailable},
    pending_group::{Append, Group, PendingGroup, Results},
};

/// The last sequence of each stream that a transaction has appended to. The transaction holds the write lock, so no
/// other writer changes them.
type LastSequences = BTreeMap<String, i64>;

impl Log {
    pub(super) async fn append(self: &Arc<Self>, append: Append) -> Result<Appended, BusError> {
        let (results, index) = self.join_group(append);
        let results = results.await;
        results
            .get(index)
            .cloned()
            .unwrap_or_else(|| Err(unavailable("the result of an append is missing")))
    }

    /// Adds the append to the pending group, or to a new one. Returns the results of the group and the index in it.
    fn join_group(self: &Arc<Self>, append: Append) -> (Shared<BoxFuture<'static, Results>>, usize) {
        let mut pending = lock(&self.pending);
        if let Some(PendingGroup { group, results }) = &*pending
            && let Some(results) = results.upgrade()
        {
            let mut group = lock(group);
            if group.has_room_for(&append) {
                return (results, group.add(append));
            }
        }
        let mut group = Group::default();
        let index = group.add(append);
        let group = Arc::new(Mutex::new(group));
        // A task: a caller that is dropped during the commit must not keep the readers from being notified.
        let appending = self.tasks.spawn(self.clone().append_group(group.clone()));
        let results = appending
            .map(|ended| ended.unwrap_or_else(|_| Arc::new([])))
            .boxed()
            .shared();
        *pending = results.downgrade().map(|results| PendingGroup { group, results });
        (results, index)
    }

    async fn append_group(self: Arc<Self>, group: Arc<Mutex<Group>>) -> Results {
        let write = self.begin_write().await;
        let appends = {
            let mut group = lock(&group);
            group.closed = true;
            mem::take(&mut group.appends)
        };
        let results = match write {
            Ok(write) => self.append_all(write, &appends).await,
            Err(error) => return appends.iter().map(|_| Err(error.clone())).collect(),
        };
        match results {
            Ok(results) => results.into(),
            // One append has failed the transaction. One transaction each finds it.
            Err(_) if appends.len() > 1 => self.append_each(&appends).await,
            Err(error) => Arc::new([Err(error)]),
        }
    }

    async fn append_each(&self, appends: &[Append]) -> Results {
        let mut results = Vec::with_capacity(appends.len());
        for append in appends {
            let result = match self.begin_write().await {
                Ok(write) => self.append_all(write, std::slice::from_ref(append)).await,
                Err(error) => Err(error),
            };
            results.push(result.and_then(|mut results| results.remove(0)));
        }
        results.into()
    }

    /// Appends all in one transaction. A subject without a stream fails that append only; any other error fails all of
    /// them, and nothing is stored.
    async fn append_all(
        &self,
        mut write: WriteTransaction<'_>,
        appends: &[Append],
    ) -> Result<Vec<Result<Appended, BusError>>, BusError> {
        let mut results = Vec::with_capacity(appends.len());
        let mut last_sequences = LastSequences::new();
        for append in appends {
            let now = self.now();
            results.push(match self.route(&append.subject, now) {
                Ok(route) => Ok(insert(&mut write.sql, &mut last_sequences, route, append, now).await?),
                Err(error) => Err(error),
            });
        }
        store_last_sequences(&mut write.sql, &last_sequences).await?;
        write.commit().await?;
        self.notify_readers(&appends.iter().map(|append| append.subject.as_str()).collect());
        Ok(results)
    }
}

/// Inserts the message with the next sequence of its stream, unless its id is a duplicate.
async fn insert(
    sql: &mut SqliteConnection,
    last_sequences: &mut LastSequences,
    route: Route,
    append: &Append,
    now: i64,
) -> Result<Appended, BusError> {
    if let Some(before) = route.sweep_before {
        delete_expired(sql, &route.stream, before).await?;
    }
    let last = match last_sequences.entry(route.stream.clone()) {
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
    // The `+` makes SQLite use the index by id. The primary key would scan the whole stream.
    let first: i64 = sqlx::query_scalar(
        "SELECT sequence FROM bus_messages WHERE stream = $1 AND id = $2 ORDER BY +sequence DESC LIMIT 1",
    )
    .bind(&route.stream)
    .bind(&append.id)
    .fetch_one(sql)
    .await
    .map_err(unavailable)?;
    Ok(Appended {
        sequence: first.unsigned_abs(),
        duplicate: true,
    })
}

async fn store_last_sequences(sql: &mut SqliteConnection, last_sequences: &LastSequences) -> Result<(), BusError> {
    for (stream, last) in last_sequences {
        sqlx::query("UPDATE bus_streams SET last_sequence = $2 WHERE name = $1")
            .bind(stream)
            .bind(last)
            .execute(&mut *sql)
            .await
            .map_err(unavailable)?;
    }
    Ok(())
}

async fn delete_expired(sql: &mut SqliteConnection, stream: &str, before: i64) -> Result<(), BusError> {
    sqlx::query("DELETE FROM bus_messages WHERE stream = $1 AND appended_at <= $2")
        .bind(stream)
        .bind(before)
        .execute(sql)
        .await
        .map_err(unavailable)?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
