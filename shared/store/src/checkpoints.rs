//! The checkpoints of the write-ahead log of SQLite.
//!
//! A commit appends to the log. A checkpoint copies the log into the file and syncs both, which takes milliseconds. It has a connection
//! that does nothing else, so that no commit waits for it.

use std::time::Duration;

use sqlx::{Connection, Executor, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

/// A power failure loses at most the commits of this time, and those of a checkpoint.
const CHECKPOINT_INTERVAL: Duration = Duration::from_millis(200);
/// Pages of 4 KiB. SQLite starts the log from its beginning once all of it is copied, which never happens while commits follow each
/// other without a pause. From this size on, the writer copies the rest.
const MAX_LOG: i64 = 8_192;
/// Copies the log as far as no reader needs it. No reader and no writer waits for it. Returns the pages of the log.
const CHECKPOINT: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// The task that makes checkpoints. It ends when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Checkpointer {
    stop: mpsc::Sender<oneshot::Sender<()>>,
}

impl Checkpointer {
    pub fn start(connection: SqliteConnection, writer: SqlitePool, tasks: &TaskTracker) -> Self {
        let (stop, stopped) = mpsc::channel(1);
        tasks.spawn(run(connection, writer, stopped));
        Self { stop }
    }

    /// Ends the task and closes its connection.
    pub async fn stop(&self) {
        let (done, is_done) = oneshot::channel();
        if self.stop.send(done).await.is_ok() {
            // An error: the task has ended already.
            drop(is_done.await);
        }
    }
}

async fn run(mut connection: SqliteConnection, writer: SqlitePool, mut stopped: mpsc::Receiver<oneshot::Sender<()>>) {
    // Only the first of several failures is logged: a full disk would fill the log of the process too.
    let mut is_failing = false;
    let done = loop {
        match tokio::time::timeout(CHECKPOINT_INTERVAL, stopped.recv()).await {
            Ok(done) => break done,
            Err(_) => {
                let checkpoint = checkpoint(&mut connection, &writer).await;
                if let (Err(error), false) = (&checkpoint, is_failing) {
                    tracing::warn!(%error, "database checkpoint failed");
                }
                is_failing = checkpoint.is_err();
            }
        }
    };
    if let Err(error) = connection.close().await {
        tracing::warn!(%error, "connection for database checkpoints not closed");
    }
    if done.is_some_and(|done| done.send(()).is_err()) {
        tracing::debug!("the caller did not wait for the last checkpoint");
    }
}

async fn checkpoint(connection: &mut SqliteConnection, writer: &SqlitePool) -> Result<(), sqlx::Error> {
    let (_, pages, _): (i64, i64, i64) = sqlx::query_as(CHECKPOINT).fetch_one(connection).await?;
    if pages > MAX_LOG {
        writer.execute(CHECKPOINT).await?;
    }
    Ok(())
}
