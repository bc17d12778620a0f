//! The pipeline itself: the policies around a send, and the order of its stages.

use std::{sync::Arc, time::Instant};

use butt_dial_domain::{Channel, Failure, ids};
use butt_dial_store::StageTimes;
use futures::future::BoxFuture;
use tracing::Instrument;

use super::{
    Outbound, SendReceipt, SendRequest, authorize,
    choose_sender::Binding,
    comply, disclose, dispatch, fallback_chain,
    idempotency::{self, Deduplicated},
    length, mail_headers, record,
    reserve::{self, Reservation},
    schedule, send_time, validate,
};

impl Outbound {
    /// Sends a message exactly once, with its fallback channels, in parts if it is long and the caller wishes so. It ends as accepted, as refused (the error says why), or as
    /// pending: then the reconciler finds the outcome, which follows as an event.
    pub async fn send(self: &Arc<Self>, request: SendRequest) -> Result<SendReceipt, Failure> {
        if request.fallbacks.is_empty() && !request.splits {
            return self.send_with_retry(request).await;
        }
        // A task of the process: the chain of channels continues when its caller goes away.
        let outbound = self.clone();
        let task = async move { fallback_chain::send(&outbound, request).await };
        self.tasks.spawn(task.in_current_span()).await.unwrap_or_else(|error| {
            tracing::error!(%error, "send task failed");
            Err(Failure::internal())
        })
    }

    /// Sends on one channel. With `retry_later`, a retryable failure schedules the send instead of returning it.
    pub(super) async fn send_with_retry(self: &Arc<Self>, mut request: SendRequest) -> Result<SendReceipt, Failure> {
        if !request.retry_later || request.scheduled_at.is_some() {
            return self.spawn_send(request).await;
        }
        // Both attempts are the same request.
        request
            .idempotency_key
            .get_or_insert_with(|| format!("auto-{}", ids::unique()));
        match self.spawn_send(request.clone()).await {
            Err(failure) if failure.is_retryable() => {
                tracing::info!(%failure, "send rescheduled");
                request.scheduled_at = Some(send_time::first_retry_at(self.clock.now(), &failure));
                self.spawn_send(request).await
            }
            result => result,
        }
    }

    /// Runs the pipeline as a task of the process: a caller that goes away does not stop the send.
    async fn spawn_send(self: &Arc<Self>, request: SendRequest) -> Result<SendReceipt, Failure> {
        let channel = request.channel.as_str();
        let outbound = self.clone();
        let task = async move { outbound.run_pipeline(request).await };
        let result = self.tasks.spawn(task.in_current_span()).await.unwrap_or_else(|error| {
            tracing::error!(%error, "send task failed");
            Err(Failure::internal())
        });
        let label = result
            .as_ref()
            .map_or_else(|failure| failure.code.as_str(), |receipt| receipt.status.for_agent());
        self.metrics.record_send(channel, label);
        result
    }

    #[tracing::instrument(level = "debug", name = "send", skip_all, fields(channel = %request.channel))]
    async fn run_pipeline(self: &Arc<Self>, request: SendRequest) -> Result<SendReceipt, Failure> {
        let mut times = StageTimes::default();
        let authorize = authorize::authorize(self, request, Binding::Bind);
        let authorized = self.timed("authorize", &mut times, Box::pin(authorize)).await?;

        let validate = async { validate::validate(&self.vault, self.clock.now(), authorized) };
        let valid = self.timed("validate", &mut times, Box::pin(validate)).await?;

        let deduplicate = idempotency::deduplicate(self, valid);
        let new = match self.timed("deduplicate", &mut times, Box::pin(deduplicate)).await? {
            Deduplicated::New(message) => message,
            Deduplicated::Prior(prior) => return idempotency::replay(self, prior).await,
        };
        length::check_early(self, &new.message, &new.contact).await?;

        let comply = comply::comply(self, *new);
        let mut compliant = self.timed("comply", &mut times, Box::pin(comply)).await?;

        if let Some(at) = compliant.message.scheduled_at {
            let schedule = schedule::schedule(self, compliant, at);
            return self.timed("schedule", &mut times, Box::pin(schedule)).await;
        }

        disclose::disclose(self, &mut compliant)?;
        if compliant.message.channel == Channel::Email {
            let headers = mail_headers::add_headers(self, &mut compliant);
            self.timed("headers", &mut times, Box::pin(headers)).await?;
        }

        let reserve = reserve::reserve(self, compliant);
        let reserved = match self.timed("reserve", &mut times, Box::pin(reserve)).await? {
            Reservation::Reserved(message) => message,
            Reservation::Prior(prior) => return idempotency::replay(self, prior).await,
        };

        self.metrics.record_reserved(reserved.estimate);
        let dispatch = dispatch::dispatch(self, *reserved);
        let dispatched = self.timed("dispatch", &mut times, Box::pin(dispatch)).await;

        let record = record::record(self, dispatched, times);
        self.timed("record", &mut times, Box::pin(record)).await
    }

    /// Traces and measures a stage. `work` is boxed, so that the pipeline's own future stays small.
    async fn timed<T>(&self, stage: &'static str, times: &mut StageTimes, work: BoxFuture<'_, T>) -> T {
        let started = Instant::now();
        let result = work
            .instrument(tracing::debug_span!("stage", otel.name = %format_args!("send {stage}"), stage))
            .await;
        let took = started.elapsed();
        times.note(stage, took);
        self.metrics.record_stage(stage, took);
        result
    }
}
