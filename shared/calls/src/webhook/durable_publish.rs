//! What a carrier tells is made durable, beside the person on the line: where they wait for the answer, it is not kept from
//! them because the stream is away. It is tried again for a while; what is lost even so, `unheard.rs` asks the carrier for.

use std::{sync::Arc, time::Duration};

use butt_dial_domain::call::CallReport;
use tokio::time::{Instant, sleep, timeout};

use super::{super::conclude::conclude, CallWebhook, CallbackKind};
use crate::{
    Comms,
    calls::state::CallState,
    inbound::{WebhookRefusal, envelope::Envelope, publish},
};

/// How long a person on the line waits for the stream: not as long that they would notice.
const UNNOTICED: Duration = Duration::from_secs(1);
const TRIED_FOR: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(500);

/// The report, into the stream.
pub(super) async fn publish_report(
    comms: &Comms,
    webhook: &CallWebhook,
    hook: CallbackKind,
    state: &CallState,
) -> Result<(), WebhookRefusal> {
    let envelope = Envelope::call(&state.info, webhook.report.clone());
    let told = Arc::new((webhook.carrier, envelope, webhook.trace.clone()));
    durably(comms, hook, move |comms| {
        let told = told.clone();
        async move {
            let (carrier, envelope, trace) = &*told;
            publish::append(&comms, carrier, envelope, trace).await.map(drop)
        }
    })
    .await
}

/// The call's end.
pub(super) async fn conclude_call(
    comms: &Comms,
    hook: CallbackKind,
    state: &CallState,
    report: CallReport,
) -> Result<(), WebhookRefusal> {
    let ended = Arc::new((state.clone(), report));
    durably(comms, hook, move |comms| {
        let ended = ended.clone();
        async move { conclude(&comms, &ended.0, &ended.1).await }
    })
    .await
}

/// Does the work, which can be repeated. An error is for a carrier that comes again, where nobody waits.
async fn durably<F, Fut>(comms: &Comms, hook: CallbackKind, work: F) -> Result<(), WebhookRefusal>
where
    F: Fn(Comms) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), WebhookRefusal>> + Send,
{
    if hook.must_precede_response() {
        return work(comms.clone()).await;
    }
    let owned = comms.clone();
    let done = comms.tasks.spawn(async move {
        let begun = Instant::now();
        while work(owned.clone()).await.is_err() {
            if begun.elapsed() >= TRIED_FOR || owned.tasks.is_closed() {
                return tracing::error!(
                    ?hook,
                    "what a carrier told of a call is not written down; it has to be asked"
                );
            }
            sleep(PAUSE).await;
        }
    });
    if timeout(UNNOTICED, done).await.is_err() {
        tracing::warn!(?hook, "a call goes on before what its carrier told is written down");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::{
        calls::conclude::tests::{completed, inbound},
        inbound::tests::bench::Bench,
    };

    #[tokio::test]
    async fn whoever_waits_on_the_line_does_not_wait_for_the_stream() {
        let bench = Bench::new().await;
        bench.bus.refuses_appends.store(true, Ordering::SeqCst);
        let state = inbound();
        let refused = conclude_call(&bench.comms, CallbackKind::Status, &state, completed()).await;
        assert!(
            matches!(refused, Err(WebhookRefusal::Unavailable)),
            "the carrier comes again"
        );
        for hook in [
            CallbackKind::Incoming,
            CallbackKind::Answer,
            CallbackKind::Action,
            CallbackKind::Whisper,
            CallbackKind::Dialled,
        ] {
            assert!(!hook.must_precede_response());
        }
        conclude_call(&bench.comms, CallbackKind::Action, &state, completed())
            .await
            .unwrap();
        assert!(bench.bus.appended.lock().unwrap().is_empty());
        bench.bus.refuses_appends.store(false, Ordering::SeqCst);
        let written = async {
            while bench.bus.appended.lock().unwrap().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        let written = timeout(Duration::from_secs(10), written).await;
        written.expect("it is written down afterwards");
    }
}
