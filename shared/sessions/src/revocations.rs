//! Feed of agents with revoked tokens: their streams are closed, and their waiting requests end.

use butt_dial_domain::{AgentId, ports::bus::BusError, subjects};
use futures::{StreamExt, future::BoxFuture};
use tokio::sync::broadcast;

use crate::{open_streams::OpenStreams, ports::Ports};

/// Revocations that a reader may lag behind.
const QUEUE_LEN: usize = 64;

/// Cheap to clone.
#[derive(Clone)]
pub struct RevocationFeed(broadcast::Sender<AgentId>);

impl RevocationFeed {
    pub(crate) fn new() -> Self {
        Self(broadcast::channel(QUEUE_LEN).0)
    }

    /// Completes when the agent's tokens are revoked after this call.
    pub fn wait_for(&self, agent: &AgentId) -> impl Future<Output = ()> + Send + use<> {
        let (mut revocations, agent) = (self.0.subscribe(), agent.clone());
        async move {
            // A reader that lagged behind has to assume that this agent was among the missed ones.
            while let Ok(revoked) = revocations.recv().await {
                if revoked == agent {
                    return;
                }
            }
        }
    }
}

/// Subscribes to revocations. The future closes streams and feeds the waiters until the process drains.
pub(crate) async fn listen(
    ports: Ports,
    open: OpenStreams,
    feed: RevocationFeed,
) -> Result<BoxFuture<'static, ()>, BusError> {
    let mut revoked = ports.bus.subscribe(subjects::TOKENS_REVOKED).await?;
    Ok(Box::pin(async move {
        while let Some(Some(message)) = ports.draining.run_until_cancelled(revoked.next()).await {
            let agent = AgentId::from(String::from_utf8_lossy(&message.payload).into_owned());
            open.end_all_of(&agent);
            // An error only means that no request is waiting.
            feed.0.send(agent).ok();
        }
    }))
}
