//! Agents that can be reached again: their listener is ready, or their callback was changed.

use std::sync::Arc;

use butt_dial_domain::{
    AgentId,
    ports::bus::{BusError, Message},
    subjects,
};
use futures::{StreamExt, stream::BoxStream};
use tokio_util::sync::CancellationToken;

use super::Delivery;

/// The subscription group: one process receives each message.
const GROUP: &str = "dispatchers";

/// A subscription to returning agents.
pub struct ReturningAgents {
    delivery: Arc<Delivery>,
    messages: BoxStream<'static, Message>,
}

impl Delivery {
    pub async fn subscribe_returning_agents(self: &Arc<Self>) -> Result<ReturningAgents, BusError> {
        Ok(ReturningAgents {
            delivery: self.clone(),
            messages: self.bus.subscribe_group(subjects::AGENT_RETURNED, GROUP).await?,
        })
    }
}

impl ReturningAgents {
    /// Starts the delivery worker of each returning agent until `end`. A lost message only delays delivery until the next
    /// sweep.
    pub async fn deliver(mut self, end: CancellationToken) {
        while let Some(Some(message)) = end.run_until_cancelled(self.messages.next()).await {
            let agent = String::from_utf8_lossy(&message.payload).into_owned();
            self.delivery.wake(AgentId::from(agent));
        }
    }
}
