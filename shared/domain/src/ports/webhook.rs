//! The port to what carriers send us. An adapter proves who called and reads what is said; it decides nothing.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};

use super::carrier::LookupError;
use crate::{
    clock::Timestamp,
    inbound::{Attachment, InboundMessage, WebhookEvent},
};

/// A request as it came, before anything is believed. Holds bodies: must not be logged.
#[derive(Clone)]
pub struct WebhookRequest {
    pub method: Method,
    /// The public URL that the carrier was told to call, with the path and the query of this request. Made from the
    /// settings, never from `Host` or `X-Forwarded-*`.
    pub url: String,
    pub headers: HeaderMap,
    /// As it came, byte for byte: signatures are computed over it.
    pub body: Bytes,
    pub received_at: Timestamp,
}

impl WebhookRequest {
    /// A header as text; `None` also when it is no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Why nobody believes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum VerificationError {
    /// We have nothing to check signatures with: the operator has to set it.
    #[error("no secret is set to check this signature with")]
    NoSecret,
    #[error("the request is not signed")]
    Unsigned,
    #[error("the signature is wrong")]
    WrongSignature,
    /// Signed too long ago, or in the future.
    #[error("the request is too old")]
    Stale,
}

impl VerificationError {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSecret => "no_secret",
            Self::Unsigned => "unsigned",
            Self::WrongSignature => "wrong_signature",
            Self::Stale => "stale",
        }
    }
}

/// A request that was signed and can't be read all the same. Holds no part of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request can't be read: {0}")]
pub struct UnreadableRequest(pub &'static str);

/// What the carrier wants to read in a 2xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub content_type: &'static str,
    pub body: &'static str,
}

/// How an attachment is fetched. Sent through the guard that keeps requests out of private networks.
#[derive(Clone)]
pub struct MediaRequest {
    pub url: String,
    /// Sent to the host of `url` only, never to where it redirects.
    pub headers: HeaderMap,
    /// Whether the host is the carrier's own API, as the operator has set it: then it may be in a private network.
    pub is_carrier: bool,
}

/// A carrier that calls us.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// A header that only this carrier's requests have: how its requests are told from others' on shared paths.
    fn signature_header(&self) -> &'static str;

    /// Whether the carrier sent this, just now. Costs no I/O.
    fn verify(&self, request: &WebhookRequest) -> Result<(), VerificationError>;

    /// What it says, in order. Empty when it says nothing that concerns us. Costs no I/O.
    fn read(&self, request: &WebhookRequest) -> Result<Vec<WebhookEvent>, UnreadableRequest>;

    /// The answer to a question of the carrier's, asked with GET, whether it may call here. `None`: it may not.
    fn handshake(&self, _request: &WebhookRequest) -> Option<String> {
        None
    }

    fn acknowledgement(&self) -> Acknowledgement {
        Acknowledgement {
            content_type: "application/json",
            body: "{}",
        }
    }

    /// Fetches what an `incomplete` message lacks.
    async fn fetch_content(&self, message: InboundMessage) -> Result<InboundMessage, LookupError> {
        Ok(message)
    }

    /// How to fetch an attachment's content. Some carriers have to be asked for the address first.
    async fn media(&self, attachment: &Attachment) -> Result<MediaRequest, LookupError>;
}
