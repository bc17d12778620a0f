//! The ports and the task scope that every part of this crate works with.

use std::sync::Arc;

use butt_dial_domain::{
    AgentId, Clock, Failure, ReplicaId,
    ports::{
        bus::{Bus, Headers},
        kv::{Kv, KvError},
    },
};
use futures::future::BoxFuture;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Span;

/// Carries the trace context of the current span over the bus.
#[derive(Clone, Copy)]
pub struct TraceContext {
    /// Returns the headers of the current span.
    pub inject: fn() -> Headers,
    /// Makes the span a child of the one that the headers name.
    pub extract: fn(&Span, &Headers),
}

/// Reschedules the deliveries of an agent that has a listener again. Returns whether events are waiting.
pub type ReadyHook = Arc<dyn Fn(AgentId) -> BoxFuture<'static, Result<bool, Failure>> + Send + Sync>;

/// The backends and the task scope of this process. Cheap to clone. The fields are private to this crate: a service
/// passes the ports on and never uses them.
#[derive(Clone)]
pub struct Ports {
    pub(crate) kv: Arc<dyn Kv>,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) clock: Clock,
    pub(crate) replica: ReplicaId,
    pub(crate) tasks: TaskTracker,
    pub(crate) draining: CancellationToken,
    pub(crate) trace: TraceContext,
}

impl Ports {
    /// Tasks that must finish although their caller has gone run on `tasks`; loops end soon after `draining` fires.
    pub fn new(
        kv: Arc<dyn Kv>,
        bus: Arc<dyn Bus>,
        clock: Clock,
        replica: ReplicaId,
        tasks: TaskTracker,
        draining: CancellationToken,
        trace: TraceContext,
    ) -> Self {
        Self {
            kv,
            bus,
            clock,
            replica,
            tasks,
            draining,
            trace,
        }
    }

    /// Answers a request on the bus with `1` for success and `0` for failure.
    pub(crate) async fn confirm(&self, reply_to: Option<&str>, done: bool) {
        self.answer(reply_to, if done { "1" } else { "0" }).await;
    }

    /// Answers a request on the bus.
    pub(crate) async fn answer(&self, reply_to: Option<&str>, payload: &'static str) {
        let Some(reply_to) = reply_to else { return };
        if let Err(error) = self.bus.publish(reply_to, Headers::new(), payload.into()).await {
            tracing::warn!(%error, "answer to stream command failed");
        }
    }
}

/// Logs why the registry of streams failed and returns what the caller may know.
pub(crate) fn registry_unavailable(error: KvError) -> Failure {
    tracing::warn!(%error, "stream registry unavailable");
    Failure::unavailable("the stream registry is not available right now")
}
