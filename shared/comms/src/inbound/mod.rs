//! What carriers tell us: signature, reading, channel block, the durable stream, and only then the answer.
//!
//! Each stage takes what the stage before made: `RawWebhook -> VerifiedWebhook -> ReadWebhook -> PermittedWebhook`, whose
//! notices are published. The database is not asked on the way. What a notice means is found out by whoever reads the
//! stream (`record.rs`); that a vendor repeats itself is seen there and by the stream, because a notice's id is made from
//! the vendor's own.

mod aside;
mod calls;
pub mod envelope;
pub mod follow;
pub mod keyword;
mod permit;
pub(crate) mod publish;
mod read;
pub mod record;
pub mod routes;
pub mod statuses;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod verify;

use std::time::Duration;

use butt_dial_domain::{
    AgentId,
    ports::{
        bus::{Headers, StreamSpec},
        webhook::{Acknowledgement, Distrust, WebhookRequest},
    },
};

use crate::Comms;
use routes::Routes;

/// The durable stream. What is older than a week has been read, or nobody will miss it any more.
pub const STREAM: StreamSpec = StreamSpec {
    name: "INBOUND",
    subjects: &["comms.inbound"],
    // Vendors repeat within seconds; what they repeat later is known by the event's id in the database.
    dedup_window: Duration::from_secs(120),
    max_age: Duration::from_secs(7 * 86_400),
};

/// What could not be written down, for operators to look at.
pub const ASIDE: StreamSpec = StreamSpec {
    name: "INBOUND_ASIDE",
    subjects: &["comms.aside"],
    dedup_window: Duration::from_secs(120),
    max_age: Duration::from_secs(30 * 86_400),
};

/// A request as it came, with what its path says.
pub struct RawWebhook {
    pub via: Via,
    pub request: WebhookRequest,
    /// The trace that it belongs to.
    pub trace: Headers,
}

/// How the request came.
pub enum Via {
    /// `/webhooks/{carrier}/...`.
    Carrier(String),
    /// `/webhooks/{agentId}/{sms|whatsapp|email|line|...}`, as the original has it.
    Agent(AgentId),
}

/// Why a webhook is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookRefusal {
    /// No such carrier, or no address of ours: nothing is revealed.
    Unknown,
    Untrusted(Distrust),
    Unreadable,
    /// It can't be made durable right now: the carrier shall try again.
    Unavailable,
}

impl Comms {
    /// Takes a webhook in. When this returns what to answer, what it told is durable.
    pub async fn receive(&self, routes: &Routes, raw: RawWebhook) -> Result<Acknowledgement, WebhookRefusal> {
        let trace = raw.trace.clone();
        let verified = verify::verify(self, raw)?;
        let (carrier, acknowledgement) = (verified.carrier, verified.webhooks.acknowledgement());
        let read = read::read(verified).inspect_err(|_| self.metrics.webhook(carrier, "unreadable"))?;
        let permitted = permit::permit(self, routes, read).await?;
        publish::publish(self, permitted, &trace).await?;
        Ok(acknowledgement)
    }

    /// The answer to a carrier that asks whether it may call here (Meta does, with GET).
    pub fn handshake(&self, carrier: &str, request: &WebhookRequest) -> Option<String> {
        self.carriers.find_webhooks(carrier)?.1.handshake(request)
    }
}
