//! Batcher commit: callers that write at the same moment share one transaction, and so one fsync and one lock of a hot row;
//! callers that ask at the same moment share a round trip.
//! A lone caller waits for nobody. A group that fails is tried again one by one, so that only the culprit's caller sees the error.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use crate::StoreError;

/// The most that one transaction takes; larger ones no longer gain anything and only hold their locks longer.
const MAX_GROUP: usize = 128;
/// Callers that may wait in line before further ones wait to get into it.
const QUEUE: usize = 4_096;
/// How long a write may take. Longer than the database itself allows a caller and a statement, so it only ends the wait for
/// one that says nothing at all: everybody else stands in line behind it.
const DEADLINE: Duration = Duration::from_secs(8);

type Answer<R> = oneshot::Sender<Result<R, StoreError>>;

/// A line of callers in front of one writer.
pub struct Batcher<T, R> {
    line: mpsc::Sender<(T, Answer<R>)>,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self {
            line: self.line.clone(),
        }
    }
}

impl<T, R> Batcher<T, R>
where
    T: Clone + Send + Sync + 'static,
    R: Send + 'static,
{
    /// `write` commits all items or none, and answers them in their order.
    pub fn start<F, Fut>(tasks: &TaskTracker, write: F) -> Self
    where
        F: Fn(Arc<[T]>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<R>, StoreError>> + Send + 'static,
    {
        let (line, mut waiting) = mpsc::channel::<(T, Answer<R>)>(QUEUE);
        tasks.spawn(async move {
            let mut taken = Vec::with_capacity(MAX_GROUP);
            while waiting.recv_many(&mut taken, MAX_GROUP).await > 0 {
                let (items, answers): (Vec<T>, Vec<Answer<R>>) = taken.drain(..).unzip();
                commit(&write, items.into(), answers).await;
            }
        });
        Self { line }
    }

    /// Waits until the item is committed, or is known not to be.
    pub(crate) async fn submit(&self, item: T) -> Result<R, StoreError> {
        let (answer, answered) = oneshot::channel();
        let closed = |()| StoreError::Shared("the writer has stopped".into());
        self.line.send((item, answer)).await.map_err(|_| closed(()))?;
        answered.await.map_err(|_| closed(()))?
    }
}

async fn commit<T, R, F, Fut>(write: &F, items: Arc<[T]>, answers: Vec<Answer<R>>)
where
    T: Clone,
    F: Fn(Arc<[T]>) -> Fut,
    Fut: Future<Output = Result<Vec<R>, StoreError>>,
{
    match in_time(write(items.clone())).await {
        Ok(results) => {
            // A caller that has gone away is no error: its write stands all the same.
            for (answer, result) in answers.into_iter().zip(results) {
                drop(answer.send(Ok(result)));
            }
        }
        Err(error) if error.is_unavailable() || items.len() == 1 => {
            let (text, unavailable) = (error.to_string(), error.is_unavailable());
            let mut first = Some(error);
            for answer in answers {
                let error = first.take().unwrap_or_else(|| shared(&text, unavailable));
                drop(answer.send(Err(error)));
            }
        }
        Err(_) => {
            // Once the database is gone, the rest need not find that out one by one.
            let mut gone: Option<String> = None;
            for (item, answer) in items.iter().zip(answers) {
                let result = match &gone {
                    Some(text) => Err(shared(text, true)),
                    None => in_time(write(Arc::from([item.clone()]))).await.and_then(only),
                };
                if let Err(error) = &result
                    && error.is_unavailable()
                {
                    gone.get_or_insert_with(|| error.to_string());
                }
                drop(answer.send(result));
            }
        }
    }
}

async fn in_time<T>(write: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let late = |_| StoreError::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    timeout(DEADLINE, write).await.map_err(late)?
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

    /// Submits all of them at once. Returns the answers, `None` for errors, and the groups that were written.
    async fn together(items: &[i32], write: fn(&[i32]) -> Result<(), StoreError>) -> (Vec<Option<i32>>, Vec<Vec<i32>>) {
        let written = Arc::new(Mutex::new(Vec::new()));
        let log = written.clone();
        let tasks = TaskTracker::new();
        let group = Batcher::start(&tasks, move |items: Arc<[i32]>| {
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
    async fn callers_of_one_moment_share_a_write() {
        let (answers, written) = together(&[1, 2, 3], |_| Ok(())).await;
        assert_eq!(answers, [Some(10), Some(20), Some(30)]);
        assert_eq!(written, [vec![1, 2, 3]]);
    }

    #[tokio::test]
    async fn a_group_has_a_limit() {
        let items: Vec<i32> = (0..i32::try_from(MAX_GROUP).unwrap() + 2).collect();
        let (answers, written) = together(&items, |_| Ok(())).await;
        assert!(answers.iter().all(Option::is_some));
        assert_eq!(written[0].len(), MAX_GROUP);
        assert_eq!(written.concat().len(), items.len());
    }

    #[tokio::test]
    async fn only_the_culprit_sees_its_error() {
        let no_twos = |items: &[i32]| {
            if items.contains(&2) {
                Err(StoreError::OverBudget)
            } else {
                Ok(())
            }
        };
        let (answers, written) = together(&[1, 2, 3], no_twos).await;
        assert_eq!(answers, [Some(10), None, Some(30)]);
        assert_eq!(written, [vec![1, 2, 3], vec![1], vec![2], vec![3]]);
    }

    #[tokio::test]
    async fn a_database_that_is_gone_is_asked_once() {
        let (answers, written) = together(&[1, 2, 3], |_| Err(unavailable())).await;
        assert_eq!(answers, [None, None, None]);
        assert_eq!(written, [vec![1, 2, 3]]);
    }

    #[tokio::test]
    async fn a_database_that_goes_away_midway_is_not_asked_by_everybody() {
        let midway = |items: &[i32]| match items {
            [1] => Ok(()),
            [_] => Err(unavailable()),
            _ => Err(StoreError::OverBudget),
        };
        let (answers, written) = together(&[1, 2, 3, 4], midway).await;
        assert_eq!(answers, [Some(10), None, None, None]);
        assert_eq!(written, [vec![1, 2, 3, 4], vec![1], vec![2]]);
    }
}
