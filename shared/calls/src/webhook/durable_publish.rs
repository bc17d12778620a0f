//! Publishes callbacks durably: before the carrier gets its response, or in parallel if a person on the line waits for it.
//! In the background, publishing is retried for some time. `reconcile.rs` recovers reports that are lost even so.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::call::CallReport;
use butt_dial_messaging::inbound::{WebhookRefusal, envelope::Envelope};
use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{conclude::conclude, handle::Calls, state::CallState},
    callback::{CallWebhook, CallbackKind},
};

/// How long a person on the line waits for the stream. Longer pauses would be noticed.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(1);
const RETRY_TIMEOUT: Duration = Duration::from_secs(600);
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Publishes the report of a callback.
pub(super) async fn publish_report(
    calls: &Arc<Calls>,
    webhook: &CallWebhook,
    kind: CallbackKind,
    state: &CallState,
) -> Result<(), WebhookRefusal> {
    let envelope = Envelope::call(&state.info, webhook.report.clone());
    let report = Arc::new((webhook.carrier, envelope, webhook.trace.clone()));
    run_durably(calls, kind, move |calls| {
        let report = report.clone();
        async move {
            let (carrier, envelope, trace) = &*report;
            calls.inbound.append(carrier, envelope, trace).await.map(drop)
        }
    })
    .await
}

/// Publishes the end of the call.
pub(super) async fn conclude_call(
    calls: &Arc<Calls>,
    kind: CallbackKind,
    state: &CallState,
    report: CallReport,
) -> Result<(), WebhookRefusal> {
    let end = Arc::new((state.clone(), report));
    run_durably(calls, kind, move |calls| {
        let end = end.clone();
        async move { conclude(&calls, &end.0, &end.1).await }
    })
    .await
}

/// Runs idempotent work. Without a person on the line, an error makes the carrier repeat the callback.
async fn run_durably<F, Fut>(calls: &Arc<Calls>, kind: CallbackKind, work: F) -> Result<(), WebhookRefusal>
where
    F: Fn(Arc<Calls>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), WebhookRefusal>> + Send,
{
    if kind.must_precede_response() {
        return work(calls.clone()).await;
    }
    let owned = calls.clone();
    let done = calls.tasks.spawn(async move {
        let started = Instant::now();
        while work(owned.clone()).await.is_err() {
            if started.elapsed() >= RETRY_TIMEOUT || owned.tasks.is_closed() {
                return tracing::error!(?kind, "call report lost: the reconciler asks the carrier");
            }
            sleep(RETRY_PAUSE).await;
        }
    });
    if timeout(PUBLISH_TIMEOUT, done).await.is_err() {
        tracing::warn!(?kind, "call continues before its report is durable");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::tests::{Bench, completed, inbound_state};

    fn appended(bench: &Bench) -> usize {
        bench.messaging.bus.appended.lock().unwrap().len()
    }

    #[tokio::test]
    async fn carrier_repeats_a_callback_that_is_not_durable() {
        let bench = Bench::new().await;
        bench.messaging.bus.refuses_appends.store(true, Ordering::SeqCst);
        for kind in [
            CallbackKind::Status,
            CallbackKind::Machine,
            CallbackKind::Message,
            CallbackKind::Recording,
        ] {
            let refused = conclude_call(&bench.calls, kind, &inbound_state(), completed()).await;
            assert_eq!(refused, Err(WebhookRefusal::Unavailable), "{kind:?}");
        }
        assert_eq!(appended(&bench), 0);
    }

    #[tokio::test]
    async fn person_on_the_line_does_not_wait_for_the_stream() {
        for kind in [
            CallbackKind::Incoming,
            CallbackKind::Answer,
            CallbackKind::Action,
            CallbackKind::Whisper,
            CallbackKind::Dialled,
        ] {
            let bench = Bench::new().await;
            bench.messaging.bus.refuses_appends.store(true, Ordering::SeqCst);
            tokio::time::pause();
            let started = Instant::now();
            let state = inbound_state();
            conclude_call(&bench.calls, kind, &state, completed()).await.unwrap();
            // The timer rounds up to milliseconds.
            let waited = started.elapsed();
            assert!(
                waited >= PUBLISH_TIMEOUT && waited < PUBLISH_TIMEOUT + RETRY_PAUSE,
                "{kind:?}: {waited:?}"
            );
            assert_eq!(appended(&bench), 0, "{kind:?}");
            bench.messaging.bus.refuses_appends.store(false, Ordering::SeqCst);
            tokio::time::sleep(2 * RETRY_PAUSE).await; // not a synchronisation: time is paused
            assert!(appended(&bench) > 0, "{kind:?}: published in the background");
            tokio::time::resume();
        }
    }
}
