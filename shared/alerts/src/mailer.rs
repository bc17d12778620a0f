//! The way to people that the pipeline of all sends offers.

use async_trait::async_trait;
use butt_dial_domain::{Channel, Failure};

/// Sends mails and text messages as the installation, and calls as it, through the pipeline of all sends.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// `key` sends once.
    async fn send(&self, channel: Channel, to: &str, subject: &str, text: &str, key: &str) -> Result<(), Failure>;
}
