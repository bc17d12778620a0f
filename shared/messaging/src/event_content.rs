//! The content of an event: the message with its stored attachments.

use butt_dial_domain::{OrgId, inbound::InboundMessage};
use butt_dial_language::instruction::Finding;
use butt_dial_vault::Vault;
use serde::{Deserialize, Serialize};

use crate::taint;

/// The content of an event, stored encrypted until its agent has the event.
#[derive(Clone, Serialize, Deserialize)]
pub struct EventContent {
    pub message: InboundMessage,
    /// Links to the stored attachments, in their order. Empty until they have been fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<StoredAttachment>,
    /// The conversation that the message belongs to: participants, last messages, summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<serde_json::Value>,
    /// The message resembles instructions to the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taint: Option<Finding>,
}

/// A stored attachment, or the reason why it could not be stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredAttachment {
    /// A signed link that expires. `None`: the attachment could not be fetched.
    pub url: Option<String>,
    pub content_type: String,
    pub filename: Option<String>,
    /// In bytes.
    pub size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl EventContent {
    /// The content of a message before its attachments are fetched. Its words are searched for instructions to the agent.
    pub async fn of(message: InboundMessage) -> Self {
        let mut content = Self {
            message,
            links: Vec::new(),
            session: None,
            taint: None,
        };
        content.search().await;
        content
    }

    /// Searches the words of the message again, because they have changed.
    pub async fn search(&mut self) {
        self.taint = taint::find(&self.message).await;
    }

    /// Encrypts the content for its event.
    pub fn seal(&self, vault: &Vault, org: &OrgId, event: &str) -> Vec<u8> {
        // Consists of strings, numbers and lists of them, so serialization cannot fail.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        vault.encrypt(org, event, &plain)
    }

    /// Decrypts the content. `None`: it cannot be decrypted; the reason is logged.
    pub fn open(vault: &Vault, org: &OrgId, event: &str, sealed: &[u8]) -> Option<Self> {
        let plain = vault.decrypt(org, event, sealed);
        let plain = plain.inspect_err(|error| tracing::error!(%error, event, "event content not decrypted"));
        serde_json::from_slice(&plain.ok()?).ok()
    }
}
