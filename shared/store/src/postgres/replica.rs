//! Prepares the replica for lists, and compares it with the primary.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use sqlx::{PgPool, Row as _, postgres::PgPoolOptions};
use tokio_util::task::TaskTracker;

use super::{Lists, PgDatabase, Pooler, Statements, pool, replica_state::ReplicaState};
use crate::{
    StoreError,
    store::{DatabaseSettings, ReadSettings},
};

/// How often the replica is compared with the primary. Its data may be older than the limit by this time.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// Both questions take longer only if a server hangs.
const WATCH_TIMEOUT: Duration = Duration::from_secs(2);
/// More marks than the longest permitted lag has.
const MAX_MARKS: usize = 4_000;

/// Positions of the primary that the replica has not reached, with the time at which they were read.
#[derive(Default)]
struct Marks {
    waiting: VecDeque<(Instant, i64)>,
    /// Before the first one is reached, the age of the data is unknown.
    has_reached: bool,
}

/// Prepares the replica, and watches it in a task that ends with the last handle of the database. The replica may be away.
pub(super) fn start(
    read: &ReadSettings,
    settings: &DatabaseSettings,
    primary: PgPool,
    tasks: &TaskTracker,
) -> Result<Arc<Lists>, StoreError> {
    let options = pool::connection(&read.url, "DATABASE_READ_URL")?;
    let pool = pool::sized(settings.max_connections);
    let (pool, options, statements) = match settings.pooler {
        Pooler::None => (pool::with_session_settings(pool), options, Statements::Named),
        // It is not asked for its abilities, because it may be away.
        Pooler::Transaction => (pool, options.statement_cache_capacity(0), Statements::Unnamed),
    };
    let lists = Arc::new(Lists {
        database: PgDatabase {
            pool: PgPoolOptions::connect_lazy_with(pool, options),
            pooler: settings.pooler,
            statements,
            waits: Arc::default(),
            lists: None,
        },
        state: ReplicaState::new(read.max_lag),
    });
    tasks.spawn(watch(Arc::downgrade(&lists), primary));
    Ok(lists)
}

impl Marks {
    /// Adds the position of the primary, and removes what the replica has reached. Returns the age of the replica's data.
    fn compare(&mut self, now: Instant, primary: i64, replica: i64) -> Option<Duration> {
        self.waiting.push_back((now, primary));
        while self.waiting.front().is_some_and(|(_, position)| *position <= replica) {
            self.waiting.pop_front();
            self.has_reached = true;
        }
        if self.waiting.len() > MAX_MARKS {
            // The age of the oldest ones is beyond every limit.
            self.waiting.remove(1);
        }
        let oldest = self.waiting.front().map(|(at, _)| now.duration_since(*at));
        self.has_reached.then(|| oldest.unwrap_or_default())
    }
}

async fn watch(lists: Weak<Lists>, primary: PgPool) {
    let mut marks = Marks::default();
    while let Some(watched) = lists.upgrade() {
        let observed = observe(&mut marks, &watched.database, &primary).await;
        watched.state.update(observed);
        drop(watched);
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

/// Returns the age of the data of the replica, or why it is not known.
async fn observe(marks: &mut Marks, replica: &PgDatabase, primary: &PgPool) -> Result<Option<Duration>, String> {
    const OF_PRIMARY: &str = "SELECT (pg_current_wal_flush_lsn() - '0/0')::BIGINT";
    const OF_REPLICA: &str = "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::BIGINT END";
    let positions = async {
        let now = Instant::now();
        // One simple query: behind a pooler, a statement and its execution could reach different connections.
        let written: i64 = sqlx::raw_sql(OF_PRIMARY).fetch_one(primary).await?.try_get(0)?;
        let replayed: Option<i64> = sqlx::query_scalar(OF_REPLICA)
            .persistent(false)
            .fetch_one(replica)
            .await?;
        Ok::<_, sqlx::Error>((now, written, replayed))
    };
    match tokio::time::timeout(WATCH_TIMEOUT, positions).await {
        Ok(Ok((now, written, Some(replayed)))) => Ok(marks.compare(now, written, replayed)),
        Ok(Ok((_, _, None))) => Err("DATABASE_READ_URL is not a replica".into()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("a server does not answer".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_the_age_of_the_oldest_mark_that_was_not_reached() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut marks = Marks::default();
        assert_eq!(marks.compare(at(0), 100, 50), None, "how old its data is, is not known");
        assert_eq!(marks.compare(at(1), 100, 60), None);
        assert_eq!(
            marks.compare(at(2), 120, 100),
            Some(Duration::ZERO),
            "the mark of now has no age"
        );
        assert_eq!(marks.compare(at(3), 130, 100), Some(Duration::from_secs(1)));
        assert_eq!(marks.compare(at(9), 140, 119), Some(Duration::from_secs(7)));
        assert_eq!(marks.compare(at(10), 140, 130), Some(Duration::from_secs(1)));
        assert_eq!(marks.compare(at(11), 140, 140), Some(Duration::ZERO));
        assert_eq!(
            marks.compare(at(900), 140, 140),
            Some(Duration::ZERO),
            "a primary at rest"
        );
    }

    #[test]
    fn number_of_marks_is_bounded() {
        let start = Instant::now();
        let mut marks = Marks::default();
        marks.compare(start, 0, 0);
        for n in 1..2 * MAX_MARKS as u64 {
            marks.compare(start + Duration::from_secs(n), n as i64, 0);
        }
        assert!(marks.waiting.len() <= MAX_MARKS);
        let lag = marks.compare(start + Duration::from_secs(10_000), 10_000, 0);
        assert_eq!(lag, Some(Duration::from_secs(9_999)));
    }
}
