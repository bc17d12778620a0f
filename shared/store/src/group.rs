//! Group commit: callers that write at the same moment share one transaction, and so one fsync and one lock of a hot row.
//! A lone caller waits for nobody. A group that fails is tried again one by one, so that only the culprit's caller sees the error.

use std::{future::Future, sync::Arc};

use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use crate::StoreError;

/// The most that one transaction takes; larger ones no longer gain anything and only hold their locks longer.
const MAX_GROUP: usize = 128;
/// Callers that may wait in line before further ones wait to get into it.
const QUEUE: usize = 4_096;

type Answer<R> = oneshot::Sender<Result<R, StoreError>>;

/// A line of callers in front of one writer.
pub struct Group<T, R> {
    line: mpsc::Sender<(T, Answer<R>)>,
}

impl<T, R> Clone for Group<T, R> {
    fn clone(&self) -> Self {
        Self {
            line: self.line.clone(),
        }
    }
}

impl<T, R> Group<T, R>
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
    pub async fn submit(&self, item: T) -> Result<R, StoreError> {
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
    match write(items.clone()).await {
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
            for (item, answer) in items.iter().zip(answers) {
                let alone = write(Arc::from([item.clone()])).await;
                let result = alone.and_then(|mut results| {
                    results
                        .pop()
                        .ok_or_else(|| StoreError::Shared("no answer from the database".into()))
                });
                drop(answer.send(result));
            }
        }
    }
}

fn shared(text: &str, unavailable: bool) -> StoreError {
    if unavailable {
        StoreError::Unavailable(sqlx::Error::Io(std::io::Error::other(text.to_owned())))
    } else {
        StoreError::Shared(text.to_owned())
    }
}
