//! Requests that are stored, encrypted, and sent later: scheduled sends, fallback channels and automatic replies. A follow-up
//! is written in the transaction of its cause and sent like a scheduled send, so that each is sent once even after a crash.

use butt_dial_domain::{
    Address, Channel, MessageId, OrgId, Restriction, SendPurpose, TokenId,
    message::{Content, ThreadRef},
};
use butt_dial_store::FollowUp;
use butt_dial_vault::Vault;
use serde::{Deserialize, Serialize};

use super::{SendRequest, mail_options};

/// A request that may be sent later. It holds a body and is stored encrypted only.
#[derive(Serialize, Deserialize)]
pub(crate) struct DeferredSend {
    pub channel: Channel,
    /// Normalized.
    recipient: String,
    idempotency_key: String,
    /// `kept` is the name in stored requests.
    #[serde(rename = "kept")]
    request: StoredRequest,
}

/// The parts of a request that are stored until it is sent.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredRequest {
    pub content: Content,
    pub sender_name: Option<String>,
    #[serde(flatten)]
    pub thread: ThreadRef,
    #[serde(default)]
    pub fallbacks: Vec<Channel>,
    /// The restriction of the token that the request came with. It binds the send at its time as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restriction: Option<Restriction>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colleague: Option<String>,
    /// As the request declares it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<SendPurpose>,
    /// The author of the request: it may be the person who has taken the conversation over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<TokenId>,
    /// A text that is too long is sent in parts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub splits: bool,
}

impl StoredRequest {
    /// Encrypts the request for its message.
    pub fn seal(&self, vault: &Vault, org: &OrgId, id: &MessageId) -> Vec<u8> {
        vault.encrypt(org, id.as_str(), &to_json(self))
    }
}

impl DeferredSend {
    /// Returns `None` if the request has no content for its channel, an invalid recipient, or no idempotency key.
    pub fn from_request(request: &SendRequest) -> Option<Self> {
        let recipient = Address::parse_reply(request.channel, &request.to).ok()?;
        let has_text = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        let is_email = request.channel == Channel::Email;
        if !has_text(&request.body) && request.media.is_empty() && !(is_email && has_text(&request.html)) {
            return None;
        }
        Some(Self {
            channel: request.channel,
            recipient: recipient.as_str().to_owned(),
            idempotency_key: request.idempotency_key.clone()?,
            request: StoredRequest {
                content: Content {
                    body: request.body.clone(),
                    subject: request.subject.clone(),
                    html: request.html.clone(),
                    media: request.media.clone(),
                    mail: mail_options::validate(&request.mail)
                        .ok()
                        .flatten()
                        .filter(|_| is_email),
                    ..Content::default()
                },
                sender_name: request.sender_name.clone(),
                thread: request.thread.clone(),
                fallbacks: request.fallbacks.clone(),
                restriction: request.caller.principal.restriction.as_deref().cloned(),
                colleague: request.colleague.clone(),
                author: Some(
                    request
                        .author
                        .as_ref()
                        .unwrap_or(&request.caller.principal.token)
                        .clone(),
                ),
                purpose: request.purpose,
                splits: request.splits,
            },
        })
    }

    /// A plain text. Returns `None` if the address is invalid on the channel.
    pub fn text(channel: Channel, to: &str, body: String, idempotency_key: String) -> Option<Self> {
        let recipient = Address::parse(channel, to).ok()?;
        Some(Self {
            channel,
            recipient: recipient.as_str().to_owned(),
            idempotency_key,
            request: StoredRequest {
                content: Content {
                    body: Some(body),
                    ..Content::default()
                },
                sender_name: None,
                thread: ThreadRef::default(),
                fallbacks: Vec::new(),
                restriction: None,
                colleague: None,
                author: None,
                purpose: None,
                splits: false,
            },
        })
    }

    /// Encrypts the send that follows if `message` fails.
    pub fn seal(&self, vault: &Vault, org: &OrgId, message: &MessageId) -> Vec<u8> {
        vault.encrypt(org, &context(message), &to_json(self))
    }

    /// Decrypts the send that follows the failure of `message`.
    pub fn open(vault: &Vault, org: &OrgId, message: &MessageId, sealed: &[u8]) -> Option<Self> {
        let plain = vault.decrypt(org, &context(message), sealed);
        let plain = plain.inspect_err(|error| tracing::error!(%error, message_id = %message, "fallback not decrypted"));
        serde_json::from_slice(&plain.ok()?).ok()
    }

    /// Builds the row that is written with the event that causes the send.
    pub fn follow_up(self, vault: &Vault, org: &OrgId, is_quiet: bool) -> FollowUp {
        let id = MessageId::generate();
        FollowUp {
            request: self.request.seal(vault, org, &id),
            request_hash: vault.request_hash(org, &self.idempotency_key),
            channel: self.channel,
            recipient: self.recipient,
            idempotency_key: self.idempotency_key,
            is_quiet,
            id,
        }
    }
}

/// The context of the stored send that follows `message`.
pub(crate) fn context(message: &MessageId) -> String {
    format!("after {message}")
}

/// Consists of strings and lists of strings, so serialization cannot fail.
fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
