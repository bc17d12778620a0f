//! The addresses under which carriers and people reach this installation.

use butt_dial_domain::{MessageId, ports::carrier::CallUrls};

/// Builds public URLs. Without a public address every method returns `None`.
#[derive(Clone, Debug, Default)]
pub struct PublicUrls {
    /// Without a slash at the end.
    base: Option<String>,
}

impl PublicUrls {
    pub fn new(base: Option<String>) -> Self {
        Self { base }
    }

    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// The URL for delivery receipts of a message. The id in it proves acceptance even if the carrier's own id was never
    /// received.
    pub fn receipts(&self, carrier: &str, message: &MessageId) -> Option<String> {
        let base = self.base()?;
        Some(format!("{base}/webhooks/{carrier}/status?mid={message}"))
    }

    /// The page that unsubscribes the recipient of a mail.
    pub fn unsubscribe(&self, token: &str) -> Option<String> {
        let base = self.base()?;
        Some(format!("{base}/webhooks/unsubscribe/{token}"))
    }

    /// The page that shows a held message and takes the decision about it.
    pub fn approval(&self, token: &str) -> Option<String> {
        let base = self.base()?;
        Some(format!("{base}/approvals/{token}"))
    }

    /// The URL of a call's callback. `kind` is the last part of the path, such as `action`.
    pub fn call(&self, carrier: &str, kind: &str, call: &str) -> Option<String> {
        let base = self.base()?;
        Some(format!("{base}/webhooks/{carrier}/voice/{kind}?call={call}"))
    }

    /// The callback URLs that a carrier gets with an outbound call.
    pub fn call_urls(&self, carrier: &str, call: &str) -> Option<CallUrls> {
        Some(CallUrls {
            answer: self.call(carrier, "answer", call)?,
            status: self.call(carrier, "status", call)?,
            machine: self.call(carrier, "machine", call)?,
        })
    }
}
