//! The handle of inbound and the backends that it uses.

use std::sync::Arc;

use bon::bon;
use butt_dial_billing::Billing;
use butt_dial_domain::{
    Clock, ReplicaId,
    ports::{bus::Bus, kv::Kv},
};
use butt_dial_store::Store;
use butt_dial_vault::Vault;
use chrono::TimeDelta;
use tokio_util::task::TaskTracker;

use super::Partitions;
use crate::{CallHook, Carriers, Delivery, Media, Metrics, Outbound};

/// Receives webhooks, and applies webhook events. One per process, shared.
pub struct Inbound {
    pub(super) store: Store,
    pub(super) kv: Arc<dyn Kv>,
    pub(super) bus: Arc<dyn Bus>,
    pub(super) partitions: Partitions,
    /// How long applied entries stay in the stream. `None`: until their age limit.
    pub(super) keep_read: Option<TimeDelta>,
    pub(super) billing: Billing,
    pub(super) carriers: Carriers,
    pub(super) vault: Vault,
    pub(super) clock: Clock,
    pub(super) replica: ReplicaId,
    pub(super) outbound: Arc<Outbound>,
    pub(super) delivery: Arc<Delivery>,
    pub(super) media: Arc<Media>,
    pub(super) calls: Arc<dyn CallHook>,
    pub(super) metrics: Metrics,
    pub(super) tasks: TaskTracker,
}

#[bon]
impl Inbound {
    #[builder]
    pub fn new(
        store: Store,
        kv: Arc<dyn Kv>,
        bus: Arc<dyn Bus>,
        #[builder(default = Partitions::ONE)] partitions: Partitions,
        keep_read: Option<TimeDelta>,
        billing: Billing,
        carriers: Carriers,
        vault: Vault,
        clock: Clock,
        replica: ReplicaId,
        outbound: Arc<Outbound>,
        delivery: Arc<Delivery>,
        media: Arc<Media>,
        calls: Arc<dyn CallHook>,
        metrics: Metrics,
        tasks: TaskTracker,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            kv,
            bus,
            partitions,
            keep_read,
            billing,
            carriers,
            vault,
            clock,
            replica,
            outbound,
            delivery,
            media,
            calls,
            metrics,
            tasks,
        })
    }
}
