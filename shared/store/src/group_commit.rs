//! Group commit: concurrent writes share one transaction, and so one fsync and one lock of a contended row; concurrent reads
//! share one round trip. A single caller does not wait for others. After an error the items of a batch are repeated one by
//! one, so that only the caller of the failing item gets the error.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use crate::StoreError;

/// Items of one batch. Larger batches gain nothing and hold their locks longer.
const MAX_BATCH: usize = 128;
/// The capacity of the queue. Further callers wait until there is space.
const QUEUE_CAPACITY: usize = 4_096;
/// The longest time for one batch of writes. Longer than the acquire timeout plus the statement timeout, so it only applies to a
/// database that does not answer at all. The other callers in the queue wait for that long.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(8);
/// The same for reads, which wait for no lock: a send that hangs on its first one is refused after this time.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(4);

type Reply<R> = oneshot::Sender<Result<R, StoreError>>;

/// A queue of items in front of one task that processes them in batches. Cheap to clone.
pub struct Batcher<T, R> {
    queue: mpsc::Sender<(T, Reply<R>)>,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self {
            queue: self.queue.clone(),
        }
    }
}

impl<T, R> Batcher<T, R>
where
    T: Clone + Send + Sync + 'static,
    R: Send + 'static,
{
    /// Starts the task. `write` commits all items or none, within `limit`, and returns one result per item, in the same order.
    pub fn start<F, Fut>(tasks: &TaskTracker, limit: Duration, write: F) -> Self
    where
        F: Fn(Arc<[T]>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<R>, StoreError>> + Send + 'static,
    {
        let (queue, mut receiver) = mpsc::channel::<(T, Reply<R>)>(QUEUE_CAPACITY);
        tasks.spawn(async move {
            let mut batch = Vec::with_capacity(MAX_BATCH);
            while receiver.recv_many(&mut batch, MAX_BATCH).await > 0 {
                let (items, replies): (Vec<T>, Vec<Reply<R>>) = batch.drain(..).unzip();
                commit(&write, limit, items.into(), replies).await;
            }
        });
        Self { queue }
    }

    /// Waits until the item is committed or has failed.
    pub(crate) async fn submit(&self, item: T) -> Result<R, StoreError> {
        let (reply, receiver) = oneshot::channel();
        let closed = |()| StoreError::Shared("the task for group commit has stopped".into());
        self.queue.send((item, reply)).await.map_err(|_| closed(()))?;
        receiver.await.map_err(|_| closed(()))?
    }
}

async fn commit<T, R, F, Fut>(write: &F, limit: Duration, items: Arc<[T]>, replies: Vec<Reply<R>>)
where
    T: Clone,
    F: Fn(Arc<[T]>) -> Fut,
    Fut: Future<Output = Result<Vec<R>, StoreError>>,
{
    match with_timeout(limit, write(items.clone())).await {
        Ok(results) => {
            // A dropped caller is not an error: its write is committed all the same.
            for (reply, result) in replies.into_iter().zip(results) {
                drop(reply.send(Ok(result)));
            }
        }
        Err(error) if error.is_unavailable() || items.len() == 1 => {
            let (text, unavailable) = (error.to_string(), error.is_unavailable());
            let mut first = Some(error);
            for reply in replies {
                let error = first.take().unwrap_or_else(|| shared(&text, unavailable));
                drop(reply.send(Err(error)));
            }
        }
        Err(_) => {
            // Once the database is unavailable, the remaining items fail without a query.
            let mut unavailable: Option<String> = None;
            for (item, reply) in items.iter().zip(replies) {
                let result = match &unavailable {
                    Some(text) => Err(shared(text, true)),
                    None => with_timeout(limit, write(Arc::from([item.clone()])))
                        .await
                        .and_then(only),
                };
                if let Err(error) = &result
                    && error.is_unavailable()
                {
                    unavailable.get_or_insert_with(|| error.to_string());
                }
                drop(reply.send(result));
            }
        }
    }
}

async fn with_timeout<T>(limit: Duration, write: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    #[cfg(feature = "simulation")]
    if let Some(process) = crate::simulation::current_process() {
        return crate::simulation::call(&process, write).await;
    }
    let timed_out = |_| StoreError::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    timeout(limit, write).await.map_err(timed_out)?
}

fn only<R>(mut results: Vec<R>) -> Result<R, StoreError> {
    let missing = || StoreError::Shared("no answer from the database".into());
    results.pop().ok_or_else(missing)
}

fn shared(text: &str, unavailable: bool) -> StoreError {
    if unavailable {
        StoreError::Unavailable(sqlx::Error::Io(io::Error::other(text.to_owned())))
    } else {
        StoreError::Shared(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Submits all items at once. Returns the results, `None` for errors, and the batches that were written.
    async fn submit_all(
        items: &[i32],
        write: fn(&[i32]) -> Result<(), StoreError>,
    ) -> (Vec<Option<i32>>, Vec<Vec<i32>>) {
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = written.clone();
        let tasks = TaskTracker::new();
        let group = Batcher::start(&tasks, WRITE_TIMEOUT, move |items: Arc<[i32]>| {
            log.lock().unwrap().push(items.to_vec());
            let answer = write(&items).map(|()| items.iter().map(|n| n * 10).collect());
            std::future::ready(answer)
        });
        let answers = futures::future::join_all(items.iter().map(|n| group.submit(*n))).await;
        drop(group);
        tasks.close();
        tasks.wait().await;
        let written = written.lock().unwrap().clone();
        (answers.into_iter().map(Result::ok).collect(), written)
    }

    fn unavailable() -> StoreError {
        StoreError::Unavailable(sqlx::Error::PoolTimedOut)
    }

    #[tokio::test]
    async fn concurrent_callers_share_one_write() {
        let (answers, written) = submit_all(&[1, 2, 3], |_| Ok(())).await;
        assert_eq!(answers, [Some(10), Some(20), Some(30)]);
        assert_eq!(written, [vec![1, 2, 3]]);
    }

    #[tokio::test]
    async fn batch_size_is_limited() {
        let items: Vec<i32> = (0..i32::try_from(MAX_BATCH).unwrap() + 2).collect();
        let (answers, written) = submit_all(&items, |_| Ok(())).await;
        assert!(answers.iter().all(Option::is_some));
        assert_eq!(written[0].len(), MAX_BATCH);
        assert_eq!(written.concat().len(), items.len());
    }

    #[tokio::test]
    async fn only_the_failing_item_gets_the_error() {
        let no_twos = |items: &[i32]| {
            if items.contains(&2) {
                Err(StoreError::OverBudget)
            } else {
                Ok(())
            }
        };
        let (answers, written) = submit_all(&[1, 2, 3], no_twos).await;
        assert_eq!(answers, [Some(10), None, Some(30)]);
        assert_eq!(written, [vec![1, 2, 3], vec![1], vec![2], vec![3]]);
    }

    #[tokio::test]
    async fn queries_unavailable_database_once() {
        let (answers, written) = submit_all(&[1, 2, 3], |_| Err(unavailable())).await;
        assert_eq!(answers, [None, None, None]);
        assert_eq!(written, [vec![1, 2, 3]]);
    }

    #[tokio::test]
    async fn stops_queries_once_database_is_unavailable() {
        let fails_from_second = |items: &[i32]| match items {
            [1] => Ok(()),
            [_] => Err(unavailable()),
            _ => Err(StoreError::OverBudget),
        };
        let (answers, written) = submit_all(&[1, 2, 3, 4], fails_from_second).await;
        assert_eq!(answers, [Some(10), None, None, None]);
        assert_eq!(written, [vec![1, 2, 3, 4], vec![1], vec![2]]);
    }
}
