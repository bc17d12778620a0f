//! Messages that leave because of what came in: on the next channel after a failure, or in answer to HELP. Written down in
//! the transaction that reads why, and sent as scheduled ones, so that each leaves once whoever dies when.

use butt_dial_domain::{Address, Channel, MessageId, OrgId, message::Content};
use butt_dial_store::FollowUp;
use serde::{Deserialize, Serialize};

use super::SendRequest;
use crate::vault::Vault;

/// A request for later. Holds a body: kept encrypted only.
#[derive(Serialize, Deserialize)]
pub struct Later {
    pub channel: Channel,
    /// Normalized.
    recipient: String,
    idempotency_key: String,
    kept: Kept,
}

/// What is kept, encrypted, of a request until it leaves.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    pub content: Content,
    pub sender_name: Option<String>,
    pub thread_id: Option<String>,
    pub entity_id: Option<String>,
    pub reply_msg_id: Option<String>,
    #[serde(default)]
    pub fallbacks: Vec<Channel>,
}

impl Kept {
    pub fn seal(&self, vault: &Vault, org: &OrgId, id: &MessageId) -> Vec<u8> {
        // Made of strings and lists of them: it always serializes.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        vault.encrypt(org, id.as_str(), &plain)
    }
}

impl Later {
    /// `None`: there is nothing in it that this channel takes, or no key to know it again by.
    pub fn of(request: &SendRequest) -> Option<Self> {
        let recipient = Address::parse(request.channel, &request.to).ok()?;
        let is_text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let is_mail = request.channel == Channel::Email;
        if !is_text(&request.body) && request.media.is_empty() && !(is_mail && is_text(&request.html)) {
            return None;
        }
        Some(Self {
            channel: request.channel,
            recipient: recipient.as_str().to_owned(),
            idempotency_key: request.idempotency_key.clone()?,
            kept: Kept {
                content: Content {
                    body: request.body.clone(),
                    subject: request.subject.clone(),
                    html: request.html.clone(),
                    media: request.media.clone(),
                    ..Content::default()
                },
                sender_name: request.sender_name.clone(),
                thread_id: request.thread_id.clone(),
                entity_id: request.entity_id.clone(),
                reply_msg_id: request.reply_msg_id.clone(),
                fallbacks: request.fallbacks.clone(),
            },
        })
    }

    /// A text and no more. `None`: the channel knows no such address.
    pub fn text(channel: Channel, to: &str, body: String, idempotency_key: String) -> Option<Self> {
        let recipient = Address::parse(channel, to).ok()?;
        Some(Self {
            channel,
            recipient: recipient.as_str().to_owned(),
            idempotency_key,
            kept: Kept {
                content: Content {
                    body: Some(body),
                    ..Content::default()
                },
                sender_name: None,
                thread_id: None,
                entity_id: None,
                reply_msg_id: None,
                fallbacks: Vec::new(),
            },
        })
    }

    /// For the case that this message fails.
    pub fn seal(&self, vault: &Vault, org: &OrgId, message: &MessageId) -> Vec<u8> {
        // Made of strings and lists of them: it always serializes.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        vault.encrypt(org, &after(message), &plain)
    }

    pub fn open(vault: &Vault, org: &OrgId, message: &MessageId, sealed: &[u8]) -> Option<Self> {
        let plain = vault.decrypt(org, &after(message), sealed);
        let plain =
            plain.inspect_err(|error| tracing::error!(%error, message_id = %message, "the next channel is lost"));
        serde_json::from_slice(&plain.ok()?).ok()
    }

    /// To be written down with the event that it follows.
    pub fn follow_up(self, vault: &Vault, org: &OrgId, is_quiet: bool) -> FollowUp {
        let id = MessageId::generate();
        FollowUp {
            request: self.kept.seal(vault, org, &id),
            request_hash: vault.request_hash(org, &self.idempotency_key),
            channel: self.channel,
            recipient: self.recipient,
            idempotency_key: self.idempotency_key,
            is_quiet,
            id,
        }
    }
}

fn after(message: &MessageId) -> String {
    format!("after {message}")
}
