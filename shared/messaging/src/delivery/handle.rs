//! The handle of delivery and the backends that it uses.

use std::{sync::Arc, time::Duration};

use bon::bon;
use butt_dial_domain::{
    AgentId, Clock, Failure, ReplicaId,
    ports::{
        bus::{Bus, Headers},
        kv::Kv,
    },
    subjects,
};
use butt_dial_store::Store;
use butt_dial_vault::Vault;
use bytes::Bytes;
use tokio_util::task::TaskTracker;

use crate::{Egress, Metrics};

/// Delivers events to agents, and serves their logs. One per process, shared.
pub struct Delivery {
    pub(super) store: Store,
    pub(super) kv: Arc<dyn Kv>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) vault: Vault,
    /// To the hosts of agents.
    pub(super) egress: Egress,
    pub(super) clock: Clock,
    pub(super) replica: ReplicaId,
    /// The delay after each failed callback of an event. An event that failed more often waits.
    pub(super) callback_retry_after: Vec<Duration>,
    pub(super) metrics: Metrics,
    pub(super) tasks: TaskTracker,
}

#[bon]
impl Delivery {
    #[builder]
    pub fn new(
        store: Store,
        kv: Arc<dyn Kv>,
        bus: Arc<dyn Bus>,
        vault: Vault,
        egress: Egress,
        clock: Clock,
        replica: ReplicaId,
        callback_retry_after: Vec<Duration>,
        metrics: Metrics,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            kv,
            bus,
            vault,
            egress,
            clock,
            replica,
            callback_retry_after,
            metrics,
            tasks,
        })
    }

    /// Makes the agent's waiting events due now. Returns whether events wait.
    pub async fn schedule_now(&self, agent: &AgentId) -> Result<bool, Failure> {
        Ok(self.store.schedule_delivery_now(agent, self.clock.now()).await?)
    }

    /// Wakes the readers that wait for the agent's events. A reader that misses it finds the event with its next poll.
    pub async fn notify_readers(&self, agent: &AgentId) {
        let subject = subjects::agent_events(agent);
        if let Err(error) = self.bus.publish(&subject, Headers::new(), Bytes::new()).await {
            tracing::debug!(%error, "readers of events not notified");
        }
    }
}
