//! The life of a process: every task runs here, so that all of them can be asked to stop, and awaited.
//! Stopping goes: readiness fails; a pause for load balancers; no new work; open work ends; what is left is cut off.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Lifecycle {
    stopping: Arc<AtomicBool>,
    /// Servers take no new work, streams and loops end.
    drain: CancellationToken,
    services: TaskTracker,
    work: TaskTracker,
}

impl Lifecycle {
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs something for as long as the process lives. It must end soon after `draining` fires.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.services.spawn(task);
    }

    /// Calls `work` again and again, `pause` after it ended, until the process stops; then it is dropped wherever it waits.
    pub fn repeat<F, Fut>(&self, pause: Duration, work: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let drain = self.drain.clone();
        self.services.spawn(async move {
            while drain.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
                if drain.run_until_cancelled(work()).await.is_none() {
                    return;
                }
            }
        });
    }

    /// For work that must end although its caller went away.
    pub fn work(&self) -> &TaskTracker {
        &self.work
    }

    /// Fires when no new work is taken any more.
    pub fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    /// Whether readiness must fail.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Waits for SIGTERM or Ctrl-C.
    pub async fn signalled() {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = tokio::signal::ctrl_c();
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM can't be caught; only Ctrl-C stops in good order");
                drop(interrupt.await);
            }
        }
    }

    /// Stops in good order. False when something had to be cut off at the deadline.
    pub async fn stop(&self, delay: Duration, deadline: Duration) -> bool {
        self.stopping.store(true, Ordering::Relaxed);
        tracing::info!(
            seconds = delay.as_secs_f64(),
            "stopping: readiness fails, still serving"
        );
        tokio::time::sleep(delay).await;
        self.drain.cancel();
        self.services.close();
        let all = async {
            self.services.wait().await;
            // Only now: the services may have begun work until their end.
            self.work.close();
            self.work.wait().await;
        };
        let in_time = tokio::time::timeout(deadline, all).await.is_ok();
        if !in_time {
            let (services, work) = (self.services.len(), self.work.len());
            tracing::warn!(
                services,
                work,
                "cut off what had not ended by the deadline; the reconciler takes over"
            );
        }
        in_time
    }
}
