//! The lifecycle of a process: it tracks every task, so that all of them can be cancelled and awaited.
//! Shutdown order: readiness fails; a pause for load balancers; no new work; open work finishes; the deadline aborts the rest.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A handle on the tasks of the process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Lifecycle {
    stopping: Arc<AtomicBool>,
    /// Cancelled when servers refuse new work, and streams and loops end.
    drain: CancellationToken,
    services: TaskTracker,
    in_flight: TaskTracker,
}

impl Lifecycle {
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task that runs as long as the process. It must end soon after `draining` is cancelled.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.services.spawn(task);
    }

    /// Spawns a loop that sleeps for `interval` and then runs `work`. Shutdown drops the loop at its current await.
    pub fn spawn_periodic<F, Fut>(&self, interval: Duration, work: F)
    where
        F: Fn() -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send,
    {
        let drain = self.drain.clone();
        self.services.spawn(async move {
            while drain.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
                if drain.run_until_cancelled(work()).await.is_none() {
                    return;
                }
            }
        });
    }

    /// Returns the tracker of work that must finish even when its client disconnects.
    pub fn in_flight(&self) -> &TaskTracker {
        &self.in_flight
    }

    /// Returns the token that is cancelled when no new work is accepted.
    pub fn draining(&self) -> &CancellationToken {
        &self.drain
    }

    /// Returns whether the process is shutting down, so that readiness must fail.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Waits for SIGTERM or Ctrl-C.
    pub async fn termination_signal() {
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
                tracing::warn!(%error, "SIGTERM handler not installed; only Ctrl-C shuts down gracefully");
                drop(interrupt.await);
            }
        }
    }

    /// Shuts down gracefully: serves for `delay` with failing readiness, then drains for at most `timeout`. Returns false when
    /// the time-out aborted tasks.
    pub async fn stop(&self, delay: Duration, timeout: Duration) -> bool {
        self.stopping.store(true, Ordering::Relaxed);
        tracing::info!(delay_seconds = delay.as_secs_f64(), "shutdown started");
        tokio::time::sleep(delay).await;
        self.drain.cancel();
        self.services.close();
        let drained = async {
            self.services.wait().await;
            // Closed last, because services may start in-flight work until they end.
            self.in_flight.close();
            self.in_flight.wait().await;
        };
        let in_time = tokio::time::timeout(timeout, drained).await.is_ok();
        if !in_time {
            let (services, in_flight) = (self.services.len(), self.in_flight.len());
            tracing::warn!(services, in_flight, "shutdown timed out; tasks aborted");
        }
        in_time
    }
}
