//! A webhook request before verification, and why a webhook is refused.

use butt_dial_domain::{
    ProviderAccountId,
    ports::{
        bus::Headers,
        webhook::{VerificationError, WebhookRequest},
    },
};

/// A webhook request as received, with the information of its path.
pub struct RawWebhook {
    pub via: Via,
    /// The account in the path, if it names one.
    pub account: Option<ProviderAccountId>,
    pub request: WebhookRequest,
    /// The trace context.
    pub trace: Headers,
}

/// The path of a webhook request.
pub enum Via {
    /// `/webhooks/{carrier}/...`.
    Carrier(String),
    /// `/webhooks/{agentId}/{sms|whatsapp|email|line|...}`, the path of the original server.
    Agent(String),
}

/// Why a webhook is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookRefusal {
    /// The carrier or the address is unknown. The response reveals neither.
    Unknown,
    Untrusted(VerificationError),
    Unreadable,
    /// The webhook cannot be made durable now. The carrier should try again.
    Unavailable,
}
