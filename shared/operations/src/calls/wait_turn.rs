//! Waits for the next event of a call.

use std::{sync::Arc, time::Duration};

use butt_dial_calls::{
    Calls,
    commands::{self, CallCommand},
    notifications::{CallNotification, CallSubscription, NotificationKind},
};
use butt_dial_domain::{AgentId, CallId, Failure};

use tokio::time::Instant;

use super::TurnView;
use crate::{Context, RequestContext, WaitOutcome};

const DEFAULT_MS: u64 = 25_000;
/// Proxies and clients abort longer calls.
const MAX_MS: u64 = 50_000;

pub fn wait_timeout(wait_ms: Option<u64>) -> Duration {
    Duration::from_millis(wait_ms.unwrap_or(DEFAULT_MS).min(MAX_MS))
}

/// Subscribes to one call, or to all calls of the agent. No notification after this is missed.
pub async fn subscribe_to_calls(
    calls: &Arc<Calls>,
    agent: &AgentId,
    call: Option<&CallId>,
) -> Result<CallSubscription, Failure> {
    CallSubscription::open(calls, agent, call).await.map_err(|error| {
        tracing::warn!(%error, "call subscription failed");
        calls_unavailable()
    })
}

fn calls_unavailable() -> Failure {
    Failure::unavailable("calls are not available right now")
}

/// The next event of a call.
pub enum NextEvent {
    /// A person waits for a reply.
    Turn(Box<CallNotification>),
    Ended(Box<CallNotification>),
    /// No event. Holds the status: `waiting`, `draining` or `ending`.
    None(&'static str),
}

impl NextEvent {
    pub fn status(&self) -> &'static str {
        match self {
            Self::Turn(_) => "turn",
            Self::Ended(_) => "ended",
            Self::None(status) => status,
        }
    }

    pub fn into_view(self) -> Option<Box<TurnView>> {
        match self {
            Self::Turn(event) | Self::Ended(event) => Some(Box::new(TurnView::from(*event))),
            Self::None(_) => None,
        }
    }
}

/// Waits for the next turn of `call`, or of any call. Attends an incoming call, which becomes `call`.
pub async fn wait_turn(
    context: &Context,
    agent: &AgentId,
    subscription: &mut CallSubscription,
    call: &mut Option<CallId>,
    deadline: Instant,
) -> Result<NextEvent, Failure> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match wait_event(&context.request, subscription, left).await? {
            NextEvent::Turn(incoming) if incoming.event == NotificationKind::Incoming => {
                match commands::send(&context.product.calls, agent, &incoming.call_id, CallCommand::Attend).await {
                    Ok(completed) => {
                        *call = Some(incoming.call_id);
                        if let Some(pending) = completed.pending {
                            return Ok(NextEvent::Turn(Box::new(pending)));
                        }
                    }
                    Err(failure) => {
                        tracing::info!(%failure, call = %incoming.call_id, "incoming call ended before it was attended");
                    }
                }
            }
            // Another call of the agent.
            NextEvent::Ended(ended) if call.as_ref() != Some(&ended.call_id) => {}
            event => return Ok(event),
        }
    }
}

/// Waits for the next notification of the subscription.
pub async fn wait_event(
    request: &RequestContext,
    subscription: &mut CallSubscription,
    timeout: Duration,
) -> Result<NextEvent, Failure> {
    let waited = request
        .wait(tokio::time::timeout(timeout, subscription.claim_next()))
        .await?;
    match waited {
        WaitOutcome::Done(Ok(Some(notification))) => {
            let has_ended = notification.event == NotificationKind::Ended;
            let notification = Box::new(notification);
            Ok(if has_ended {
                NextEvent::Ended(notification)
            } else {
                NextEvent::Turn(notification)
            })
        }
        WaitOutcome::Done(Ok(None)) => Err(calls_unavailable()),
        WaitOutcome::Done(Err(_)) | WaitOutcome::Gone => Ok(NextEvent::None("waiting")),
        WaitOutcome::Draining => Ok(NextEvent::None("draining")),
    }
}
