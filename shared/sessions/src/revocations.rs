//! Feed of agents with revoked tokens: their streams are closed, and their waiting requests end.

use butt_dial_domain::{AgentId, Clock, clock::Timestamp, ports::bus::BusError, subjects};
use futures::{StreamExt, future::BoxFuture};
use tokio::sync::broadcast;

use crate::{open_streams::OpenStreams, ports::Ports};

/// Revocations that a reader may lag behind.
const QUEUE_LEN: usize = 64;

/// The tokens of an agent are revoked: what was opened before `opened_before` ends, or everything.
#[derive(Clone)]
struct Revocation {
    agent: AgentId,
    opened_before: Option<Timestamp>,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct RevocationFeed {
    revocations: broadcast::Sender<Revocation>,
    open: OpenStreams,
    clock: Clock,
}

impl RevocationFeed {
    pub(crate) fn new(open: OpenStreams, clock: Clock) -> Self {
        Self {
            revocations: broadcast::channel(QUEUE_LEN).0,
            open,
            clock,
        }
    }

    /// Completes when the agent's tokens are revoked after this call.
    pub fn wait_for(&self, agent: &AgentId) -> impl Future<Output = ()> + Send + use<> {
        let (mut revocations, agent, started_at) = (self.revocations.subscribe(), agent.clone(), self.clock.now());
        async move {
            // A reader that lagged behind has to assume that this agent was among the missed ones.
            while let Ok(revoked) = revocations.recv().await {
                let is_affected = revoked.opened_before.is_none_or(|before| started_at < before);
                if revoked.agent == agent && is_affected {
                    return;
                }
            }
        }
    }

    /// Returns whether this process has a stream or a wait that a revocation could end.
    pub fn is_in_use(&self) -> bool {
        !self.open.is_empty() || self.revocations.receiver_count() > 0
    }

    /// Ends the agent's streams and waits that began before this time. Repeated calls have no further effect.
    pub fn end_before(&self, agent: AgentId, opened_before: Timestamp) {
        self.end(agent, Some(opened_before));
    }

    fn end(&self, agent: AgentId, opened_before: Option<Timestamp>) {
        self.open.end_all_of(&agent, opened_before);
        // An error only means that no request is waiting.
        self.revocations.send(Revocation { agent, opened_before }).ok();
    }
}

/// Subscribes to revocations. The future closes streams and feeds the waiters until the process drains.
pub(crate) async fn listen(ports: Ports, feed: RevocationFeed) -> Result<BoxFuture<'static, ()>, BusError> {
    let mut revoked = ports.bus.subscribe(subjects::TOKENS_REVOKED).await?;
    Ok(Box::pin(async move {
        while let Some(Some(message)) = ports.draining.run_until_cancelled(revoked.next()).await {
            feed.end(
                AgentId::from(String::from_utf8_lossy(&message.payload).into_owned()),
                None,
            );
        }
    }))
}
