//! The port to the webhooks of carriers. An adapter verifies the sender and parses the content; it decides nothing.

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};

use super::carrier::LookupError;
use crate::{
    clock::Timestamp,
    inbound::{Attachment, InboundMessage, WebhookEvent},
};

/// A webhook request before verification. Contains message bodies: must not be logged.
#[derive(Clone)]
pub struct WebhookRequest {
    pub method: Method,
    /// The public URL that was registered at the carrier, with the path and the query of this request. Built from the
    /// settings, never from `Host` or `X-Forwarded-*`.
    pub url: String,
    pub headers: HeaderMap,
    /// Byte for byte as received, because signatures are computed over it.
    pub body: Bytes,
    pub received_at: Timestamp,
}

impl WebhookRequest {
    /// Returns a header as text, `None` when it is missing or not valid text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The reason why a webhook request is not authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum VerificationError {
    /// No secret is configured. The operator has to set it.
    #[error("no secret is configured to verify the signature")]
    NoSecret,
    #[error("the request is not signed")]
    Unsigned,
    #[error("the signature is wrong")]
    WrongSignature,
    /// The signed time is too old, or in the future.
    #[error("the request is too old")]
    Stale,
}

impl VerificationError {
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A verified request that can't be parsed. The text contains no part of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the webhook request can't be parsed: {0}")]
pub struct UnreadableRequest(pub &'static str);

/// The 2xx response that the carrier expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    pub content_type: &'static str,
    pub body: &'static str,
}

/// A request that fetches an attachment. Sent through the egress guard, which blocks private networks.
#[derive(Clone)]
pub struct MediaRequest {
    pub url: String,
    /// Sent to the host of `url` only, never to a redirect target.
    pub headers: HeaderMap,
    /// The host is the configured API of the carrier, which may be in a private network.
    pub is_carrier: bool,
}

/// The webhooks of a carrier.
#[async_trait]
pub trait Webhooks: Send + Sync {
    /// Returns the name of a header that only this carrier sends. It identifies the carrier on shared paths.
    fn signature_header(&self) -> &'static str;

    /// Verifies that the carrier sent the request recently. No I/O.
    fn verify(&self, request: &WebhookRequest) -> Result<(), VerificationError>;

    /// Parses a verified request into its events, in order. Empty when no event concerns us. No I/O.
    fn parse(&self, request: &WebhookRequest) -> Result<Vec<WebhookEvent>, UnreadableRequest>;

    /// Returns the response to the carrier's GET request that registers the webhook. `None`: not authorized.
    fn handshake(&self, _request: &WebhookRequest) -> Option<String> {
        None
    }

    fn acknowledgement(&self) -> Acknowledgement {
        Acknowledgement {
            content_type: "application/json",
            body: "{}",
        }
    }

    /// Fetches the missing content of an `incomplete` message.
    async fn fetch_content(&self, message: InboundMessage) -> Result<InboundMessage, LookupError> {
        Ok(message)
    }

    /// Returns the request that fetches an attachment. Some carriers need a lookup of its URL first.
    async fn media(&self, attachment: &Attachment) -> Result<MediaRequest, LookupError>;
}
