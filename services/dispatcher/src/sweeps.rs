//! The periodic sweeps. Each sweep claims the rows that it works on, so that replicas share the work. Sweeps of frequent work run
//! only while such work is due: one statement looks for all of it.

use std::{collections::HashSet, future::Future, time::Duration};

use butt_dial_calls::{legs, reconcile};
use butt_dial_domain::Failure;
use butt_dial_messaging::DueKind;
use butt_dial_runtime::{Lifecycle, platform::Product};
use futures::{FutureExt as _, future::BoxFuture};
use tokio::sync::watch;

/// How often due work is looked for. The deliveries of a dispatcher that died wait for their leases and for this.
const DUE_INTERVAL: Duration = Duration::from_secs(1);
const HALF_SECOND: Duration = Duration::from_millis(500);
const SECOND: Duration = Duration::from_secs(1);
const THREE_SECONDS: Duration = Duration::from_secs(3);
const FIVE_SECONDS: Duration = Duration::from_secs(5);
const FIFTEEN_SECONDS: Duration = Duration::from_secs(15);
const MINUTE: Duration = Duration::from_secs(60);
const TEN_MINUTES: Duration = Duration::from_secs(600);
const HOUR: Duration = Duration::from_secs(3_600);

/// Starts all sweeps on the lifecycle.
pub fn start(product: &Product, lifecycle: &Lifecycle) {
    let sweeps = Sweeps {
        product,
        lifecycle,
        due: watch::Sender::default(),
    };
    sweeps.look_for_due_work();
    sweeps.spawn_when_due(DueKind::UnknownSends, SECOND, |product| async move {
        product.outbound.reconcile().await
    });
    sweeps.spawn_when_due(DueKind::ScheduledSends, SECOND, |product| async move {
        product.outbound.send_due().await
    });
    sweeps.spawn_when_due(DueKind::RequestedReplays, SECOND, |product| async move {
        product.inbound.replay_dead_letters().await
    });
    sweeps.spawn_when_due(DueKind::UnsealedRows, SECOND, |product| async move {
        product.audit.seal_due().await
    });
    sweeps.spawn("audit checkpoints", TEN_MINUTES, |product| async move {
        let signing = product.audit.sign_due().await?;
        product.alerts.report_broken_logs(&signing.broken).await?;
        Ok(signing.signed)
    });
    sweeps.spawn_when_due(DueKind::AlertCauses, THREE_SECONDS, |product| async move {
        product.alerts.observe().await
    });
    sweeps.spawn("anomalies", product.anomalies.interval(), |product| async move {
        product.anomalies.sweep().await
    });
    sweeps.spawn_when_due(DueKind::AlertNotifications, SECOND, |product| async move {
        product.alerts.send_due().await
    });
    sweeps.spawn_when_due(DueKind::Deliveries, HALF_SECOND, |product| async move {
        product.delivery.deliver_due().await
    });
    sweeps.spawn_when_due(DueKind::IncompleteEvents, SECOND, |product| async move {
        product.media.fetch_due().await
    });
    sweeps.spawn_when_due(DueKind::DeferredBodies, SECOND, |product| async move {
        product.media.fetch_deferred_bodies().await
    });
    sweeps.spawn("delivered events", FIVE_SECONDS, |product| async move {
        product.retention.purge_delivered().await
    });
    sweeps.spawn_when_due(DueKind::AccountNotices, SECOND, |product| async move {
        product.accounts.deliver_notices().await
    });
    sweeps.spawn("budget alerts", MINUTE, |product| async move {
        product.accounts.sweep_budget_alerts().await
    });
    sweeps.spawn("erased organizations", MINUTE, |product| async move {
        product.accounts.purge_erased().await
    });
    sweeps.spawn_when_due(DueKind::SubjectJobs, THREE_SECONDS, |product| async move {
        product.subjects.run_due().await
    });
    sweeps.spawn("old archives of persons", HOUR, |product| async move {
        product.subjects.delete_old_archives().await
    });
    sweeps.spawn("expired registrations", TEN_MINUTES, |product| async move {
        product.accounts.delete_expired().await
    });
    sweeps.spawn_when_due(DueKind::CallLegs, FIVE_SECONDS, |product| async move {
        legs::charge_due(&product.calls).await
    });
    sweeps.spawn_when_due(DueKind::SenderOrders, FIVE_SECONDS, |product| async move {
        product.senders.resume_orders().await
    });
    sweeps.spawn("sender registrations", FIFTEEN_SECONDS, |product| async move {
        product.senders.check_registrations().await
    });
    sweeps.spawn_when_due(DueKind::NumberRegistrations, FIVE_SECONDS, |product| async move {
        product.registrations.continue_due().await
    });
    sweeps.spawn("webhooks of numbers", MINUTE, |product| async move {
        product.senders.check_numbers().await
    });
    sweeps.spawn("released senders", MINUTE, |product| async move {
        product.senders.return_released().await
    });
    sweeps.spawn("rents of numbers", MINUTE, |product| async move {
        product.senders.charge_rents().await
    });
    sweeps.spawn("failing provider accounts", MINUTE, |product| async move {
        product.provider_accounts.recheck_failing().await
    });
    sweeps.spawn("suspended subaccounts", FIFTEEN_SECONDS, |product| async move {
        product.provider_accounts.align_subaccounts().await
    });
    sweeps.spawn("expired bindings", HOUR, |product| async move {
        product.senders.delete_expired_bindings().await
    });
    sweeps.spawn("stale calls", MINUTE, |product| async move {
        reconcile::sweep(&product.calls).await
    });
    sweeps.spawn("applied entries", TEN_MINUTES, |product| async move {
        product.inbound.discard_read().await
    });
    sweeps.spawn("backlogs", FIFTEEN_SECONDS, |product| async move {
        product.backlogs.measure().await
    });
    sweeps.spawn("retention", TEN_MINUTES, |product| async move {
        product.retention.purge_expired().await
    });
    sweeps.spawn("old rows", HOUR, |product| async move {
        product.retention.delete_old_rows().await
    });
}

struct Sweeps<'a> {
    product: &'a Product,
    lifecycle: &'a Lifecycle,
    /// The kinds of work that were due when it was looked for last. Empty while the database can't be read.
    due: watch::Sender<HashSet<DueKind>>,
}

impl Sweeps<'_> {
    fn look_for_due_work(&self) {
        let (product, due) = (self.product.clone(), self.due.clone());
        self.lifecycle.spawn_periodic(DUE_INTERVAL, move || {
            let (product, due) = (product.clone(), due.clone());
            async move {
                let found = product.backlogs.list_due().await.unwrap_or_else(|failure| {
                    tracing::warn!(%failure, "due work not read");
                    HashSet::new()
                });
                due.send_if_modified(|kinds| {
                    let is_changed = *kinds != found;
                    *kinds = found;
                    is_changed
                });
            }
        });
    }

    /// Runs `work` while work of this kind is due, with a pause between two runs.
    fn spawn_when_due<F, Fut>(&self, kind: DueKind, pause: Duration, work: F)
    where
        F: Fn(Product) -> Fut + Copy + Send + 'static,
        Fut: Future<Output = Result<usize, Failure>> + Send + 'static,
    {
        let (product, mut due) = (self.product.clone(), self.due.subscribe());
        let draining = self.lifecycle.draining().clone();
        self.lifecycle.spawn(async move {
            let sweep = async move {
                while due.wait_for(|kinds| kinds.contains(&kind)).await.is_ok() {
                    run(kind.into(), work(product.clone()).boxed()).await;
                    tokio::time::sleep(pause).await;
                }
            };
            draining.run_until_cancelled(sweep).await;
        });
    }

    /// Runs `work` periodically.
    fn spawn<F, Fut>(&self, name: &'static str, interval: Duration, work: F)
    where
        F: Fn(Product) -> Fut + Copy + Send + 'static,
        Fut: Future<Output = Result<usize, Failure>> + Send + 'static,
    {
        let product = self.product.clone();
        self.lifecycle
            .spawn_periodic(interval, move || run(name, work(product.clone()).boxed()));
    }
}

/// Runs a sweep once. A failure is logged, and the next run tries again. The work is boxed, because some is large on the stack.
async fn run(name: &'static str, work: BoxFuture<'_, Result<usize, Failure>>) {
    if let Err(failure) = work.await {
        tracing::warn!(%failure, sweep = name, "sweep failed");
    }
}
