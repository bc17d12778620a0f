//! The periodic sweeps. Each sweep claims the rows that it works on, so that replicas share the work.

use std::{future::Future, time::Duration};

use butt_dial_comms::{
    Comms, calls,
    delivery::ladder,
    media,
    outbound::{reconcile, schedule},
    retention,
};
use butt_dial_domain::Failure;
use butt_dial_runtime::Lifecycle;

const EVERY_SECOND: Duration = Duration::from_secs(1);
const EVERY_FIVE_SECONDS: Duration = Duration::from_secs(5);
const EVERY_MINUTE: Duration = Duration::from_secs(60);
const EVERY_TEN_MINUTES: Duration = Duration::from_secs(600);

/// Starts all sweeps on the lifecycle.
pub fn start(comms: &Comms, lifecycle: &Lifecycle) {
    sweep(comms, lifecycle, EVERY_SECOND, "unknown sends", |comms| async move {
        reconcile::run_once(&comms).await
    });
    sweep(comms, lifecycle, EVERY_SECOND, "scheduled sends", |comms| async move {
        schedule::sweep(&comms).await
    });
    sweep(comms, lifecycle, EVERY_SECOND, "deliveries", |comms| async move {
        ladder::sweep(&comms).await
    });
    sweep(comms, lifecycle, EVERY_SECOND, "attachments", |comms| async move {
        media::sweep(&comms).await
    });
    sweep(comms, lifecycle, EVERY_SECOND, "deferred bodies", |comms| async move {
        media::late::sweep(&comms).await
    });
    sweep(
        comms,
        lifecycle,
        EVERY_FIVE_SECONDS,
        "delivered events",
        |comms| async move { retention::forget_delivered(&comms).await },
    );
    sweep(comms, lifecycle, EVERY_MINUTE, "stale calls", |comms| async move {
        calls::reconcile::sweep(&comms).await
    });
    sweep(comms, lifecycle, EVERY_TEN_MINUTES, "retention", |comms| async move {
        retention::sweep(&comms).await
    });
}

fn sweep<F, Fut>(comms: &Comms, lifecycle: &Lifecycle, every: Duration, name: &'static str, work: F)
where
    F: Fn(Comms) -> Fut + Copy + Send + 'static,
    Fut: Future<Output = Result<usize, Failure>> + Send + 'static,
{
    let comms = comms.clone();
    lifecycle.spawn_periodic(every, move || {
        let comms = comms.clone();
        async move {
            if let Err(failure) = work(comms).await {
                tracing::warn!(%failure, sweep = name, "sweep failed");
            }
        }
    });
}
