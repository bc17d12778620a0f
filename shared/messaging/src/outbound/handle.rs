//! The handle of the send pipeline and the backends that its stages use.

use std::{sync::Arc, time::Duration};

use bon::bon;
use butt_dial_billing::Billing;
use butt_dial_compliance::Compliance;
use butt_dial_domain::{
    Clock, ReplicaId,
    ports::{bus::Bus, kv::Kv},
    senders::IdentityMode,
};
use butt_dial_store::Store;
use butt_dial_vault::Vault;
use chrono::TimeDelta;
use tokio_util::task::TaskTracker;

use super::internal_carrier;
use crate::{CallHook, Carrier, Carriers, Metrics, PublicUrls, inbound::Partitions};

/// Settings of the pipeline.
#[derive(Clone, Debug)]
pub struct OutboundSettings {
    /// The carriers are simulators: numbers reserved for fiction count as contacts that have written first.
    pub simulated_world: bool,
    /// The identity of agents, where neither they nor their organizations set it.
    pub identity: IdentityMode,
    /// How long after its last message a sender of the pool serves an agent for a contact.
    pub pool_binding: TimeDelta,
    /// Delays between a send with an unknown outcome and each check by the reconciler.
    pub reconcile_after: Vec<Duration>,
    /// How long a message waits for the approval of a person.
    pub approval_time: TimeDelta,
    /// The words of the disclosure in first messages.
    pub disclosure: String,
    /// How many messages an agent may have scheduled.
    pub scheduled_per_agent: u32,
    /// How many messages all agents of an organization may have scheduled.
    pub scheduled_per_organization: u32,
    /// How many bytes these messages may have, encrypted.
    pub scheduled_bytes_per_agent: u64,
    pub scheduled_bytes_per_organization: u64,
}

/// Sends messages and calls, each exactly once. One per process, shared.
pub struct Outbound {
    pub(super) store: Store,
    pub(super) kv: Arc<dyn Kv>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) partitions: Partitions,
    pub(super) billing: Billing,
    pub(super) compliance: Compliance,
    pub(super) carriers: Carriers,
    /// Carries messages between agents of one organization.
    pub(super) internal_carrier: Carrier,
    pub(super) public_urls: PublicUrls,
    pub(super) calls: Arc<dyn CallHook>,
    pub(super) vault: Vault,
    pub(super) clock: Clock,
    pub(super) replica: ReplicaId,
    pub(super) settings: OutboundSettings,
    pub(super) metrics: Metrics,
    /// Sends run here and finish even if their caller goes away; shutdown waits for them.
    pub(super) tasks: TaskTracker,
}

#[bon]
impl Outbound {
    #[builder]
    pub fn new(
        store: Store,
        kv: Arc<dyn Kv>,
        bus: &Arc<dyn Bus>,
        #[builder(default = Partitions::ONE)] partitions: Partitions,
        billing: Billing,
        compliance: Compliance,
        carriers: Carriers,
        public_urls: PublicUrls,
        calls: Arc<dyn CallHook>,
        vault: Vault,
        clock: Clock,
        replica: ReplicaId,
        settings: OutboundSettings,
        metrics: Metrics,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            internal_carrier: internal_carrier::build(&store, bus, partitions, &vault),
            bus: bus.clone(),
            partitions,
            store,
            kv,
            billing,
            compliance,
            carriers,
            public_urls,
            calls,
            vault,
            clock,
            replica,
            settings,
            metrics,
            tasks,
        })
    }

    /// How long after its last message a sender of the pool serves an agent for a contact.
    pub(crate) fn pool_binding(&self) -> TimeDelta {
        self.settings.pool_binding
    }

    /// The carriers that messages are sent through.
    pub fn carriers(&self) -> &Carriers {
        &self.carriers
    }
}
