//! What the product does. Every way in (MCP, REST, schedules) calls these functions, so that each rule is written once.

pub mod billing;
pub mod carriers;
pub mod compliance;
pub mod delivery;
pub mod egress;
pub mod identity;
pub mod inbound;
pub mod media;
pub mod metrics;
pub mod outbound;
pub mod provisioning;
pub mod retention;
pub mod vault;
pub mod waiting;

use std::{sync::Arc, time::Duration};

use butt_dial_domain::{
    Clock, MessageId, ReplicaId,
    limits::Limits,
    ports::{bus::Bus, carrier::CallUrls, kv::Kv},
};
use butt_dial_store::{Store, StoreError};
use tokio_util::task::TaskTracker;

pub use butt_dial_domain::Failure;
pub use carriers::{Carrier, Carriers};

/// The parts that everything here works with. Assembled once, by the platform.
pub struct Parts {
    pub store: Store,
    pub kv: Arc<dyn Kv>,
    pub bus: Arc<dyn Bus>,
    pub carriers: Carriers,
    /// To carriers' own addresses, as the operator has set them.
    pub carrier_http: reqwest::Client,
    /// To addresses that others have chosen.
    pub egress: egress::Egress,
    /// `None`: attachments are not kept.
    pub blobs: Option<media::Blobs>,
    pub vault: vault::Vault,
    pub clock: Clock,
    pub replica: ReplicaId,
    pub settings: Settings,
    pub metrics: metrics::Metrics,
    /// Work that must end although its caller went away runs here; the lifecycle waits for it.
    pub tasks: TaskTracker,
}

/// A handle on the product. Cheap to clone.
#[derive(Clone)]
pub struct Comms(Arc<Parts>);

impl Comms {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

impl std::ops::Deref for Comms {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What an operator can set about the product itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For agents that nobody set limits for.
    pub default_limits: Limits,
    /// The carriers are simulators, and the numbers +1 415 555 01xx are people who have written first.
    pub simulated_world: bool,
    /// How long after a send with an unknown outcome the reconciler asks the carrier, each time.
    pub reconcile_after: Vec<Duration>,
    /// SHA-256 of the orchestrator's token, in hex, if there is one.
    pub orchestrator_token_hash: Option<String>,
    /// Where carriers and people reach this installation, without a slash at the end. `None`: they can't.
    pub public_url: Option<String>,
    /// How long after each failure in a row a callback is called again; an event that has failed more often waits.
    pub callback_retry_after: Vec<Duration>,
    /// How long what people said is kept for an agent that does not come for it.
    pub event_retention: Duration,
}

impl Settings {
    /// Where a carrier tells what became of a message. The id in it proves acceptance even when the carrier's own id was
    /// never seen.
    pub fn receipts_url(&self, carrier: &str, message: &MessageId) -> Option<String> {
        let base = self.public_url.as_ref()?;
        Some(format!("{base}/webhooks/{carrier}/status?mid={message}"))
    }

    /// Where a carrier asks or tells about a call: `what` is the end of the path, such as `action`.
    pub fn call_url(&self, carrier: &str, what: &str, call: &str) -> Option<String> {
        let base = self.public_url.as_ref()?;
        Some(format!("{base}/webhooks/{carrier}/voice/{what}?call={call}"))
    }

    /// All that a carrier is told about a call that it places.
    pub fn call_urls(&self, carrier: &str, call: &str) -> Option<CallUrls> {
        Some(CallUrls {
            answer: self.call_url(carrier, "answer", call)?,
            status: self.call_url(carrier, "status", call)?,
            machine: self.call_url(carrier, "machine", call)?,
        })
    }
}

/// Turns a database error into what a caller may know, and logs the rest. Once, at the edge of the store.
pub(crate) fn store_failure(error: StoreError) -> Failure {
    if error.is_unavailable() {
        tracing::warn!(%error, "the database does not answer");
        Failure::unavailable("the database does not answer right now").remedy("try again with the same idempotencyKey")
    } else {
        tracing::error!(%error, "a database call failed");
        Failure::internal()
    }
}
