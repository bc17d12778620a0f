//! What went wrong, in the words of the wire: one code, one sentence, what to do about it, and whether to try again.

use std::{borrow::Cow, fmt};

use serde_json::{Map, Value, json};

use crate::Channel;

/// Every code that a tool or a route can answer with. `http_status` is the one table from codes to statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    MissingFields,
    InvalidArgument,
    InvalidRecipient,
    InvalidContent,
    AuthMissingHeader,
    AuthInvalidToken,
    AuthTokenRevoked,
    AuthWrongScope,
    AuthForbidden,
    AuthLockedOut,
    AgentNotFound,
    MessageNotFound,
    CallNotFound,
    CallOver,
    TurnSuperseded,
    NotFound,
    MethodNotAllowed,
    AlreadyExists,
    NoChannelAssigned,
    ChannelUnavailable,
    WhatsappWindowClosed,
    ContactOptedOut,
    DoNotContact,
    ContentBlocked,
    RateLimited,
    SpendLimit,
    IdempotencyConflict,
    ProviderRefused,
    ProviderRateLimited,
    ProviderMisconfigured,
    NotSupported,
    PayloadTooLarge,
    UnsupportedMediaType,
    NotAcceptable,
    LinkExpired,
    ServiceUnavailable,
    Internal,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MissingFields => "MISSING_FIELDS",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::InvalidRecipient => "INVALID_RECIPIENT",
            Self::InvalidContent => "INVALID_CONTENT",
            Self::AuthMissingHeader => "AUTH_MISSING_HEADER",
            Self::AuthInvalidToken => "AUTH_INVALID_TOKEN",
            Self::AuthTokenRevoked => "AUTH_TOKEN_REVOKED",
            Self::AuthWrongScope => "AUTH_WRONG_SCOPE",
            Self::AuthForbidden => "AUTH_FORBIDDEN",
            Self::AuthLockedOut => "AUTH_LOCKED_OUT",
            Self::AgentNotFound => "AGENT_NOT_FOUND",
            Self::MessageNotFound => "MESSAGE_NOT_FOUND",
            Self::CallNotFound => "CALL_NOT_FOUND",
            Self::CallOver => "CALL_OVER",
            Self::TurnSuperseded => "TURN_SUPERSEDED",
            Self::NotFound => "NOT_FOUND",
            Self::MethodNotAllowed => "METHOD_NOT_ALLOWED",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::NoChannelAssigned => "NO_CHANNEL_ASSIGNED",
            Self::ChannelUnavailable => "CHANNEL_UNAVAILABLE",
            Self::WhatsappWindowClosed => "WHATSAPP_WINDOW_CLOSED",
            Self::ContactOptedOut => "CONTACT_OPTED_OUT",
            Self::DoNotContact => "DO_NOT_CONTACT",
            Self::ContentBlocked => "CONTENT_BLOCKED",
            Self::RateLimited => "RATE_LIMITED",
            Self::SpendLimit => "SPEND_LIMIT",
            Self::IdempotencyConflict => "IDEMPOTENCY_CONFLICT",
            Self::ProviderRefused => "PROVIDER_REFUSED",
            Self::ProviderRateLimited => "PROVIDER_RATE_LIMITED",
            Self::ProviderMisconfigured => "PROVIDER_MISCONFIGURED",
            Self::NotSupported => "NOT_SUPPORTED",
            Self::PayloadTooLarge => "PAYLOAD_TOO_LARGE",
            Self::UnsupportedMediaType => "UNSUPPORTED_MEDIA_TYPE",
            Self::NotAcceptable => "NOT_ACCEPTABLE",
            Self::LinkExpired => "LINK_EXPIRED",
            Self::ServiceUnavailable => "SERVICE_UNAVAILABLE",
            Self::Internal => "INTERNAL_ERROR",
        }
    }

    /// The HTTP status of the code on REST routes. 401 and 429 carry `AUTH_*` codes only where the Python client expects them.
    pub fn http_status(self) -> u16 {
        match self {
            Self::MissingFields | Self::InvalidArgument | Self::InvalidRecipient | Self::InvalidContent => 400,
            Self::AuthMissingHeader | Self::AuthInvalidToken | Self::AuthTokenRevoked | Self::AuthWrongScope => 401,
            Self::SpendLimit => 402,
            Self::AuthForbidden => 403,
            Self::AgentNotFound | Self::MessageNotFound | Self::CallNotFound | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::AlreadyExists | Self::TurnSuperseded => 409,
            Self::NotAcceptable => 406,
            Self::CallOver | Self::LinkExpired => 410,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::NoChannelAssigned
            | Self::ChannelUnavailable
            | Self::WhatsappWindowClosed
            | Self::ContactOptedOut
            | Self::DoNotContact
            | Self::ContentBlocked
            | Self::IdempotencyConflict
            | Self::NotSupported => 422,
            Self::RateLimited | Self::AuthLockedOut | Self::ProviderRateLimited => 429,
            Self::Internal => 500,
            Self::ProviderRefused | Self::ProviderMisconfigured => 502,
            Self::ServiceUnavailable => 503,
        }
    }

    /// Whether the same request may succeed later without a change.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::AuthLockedOut
                | Self::RateLimited
                | Self::SpendLimit
                | Self::ProviderRateLimited
                | Self::ServiceUnavailable
                | Self::Internal
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal or a fault, ready for the wire. Carries no secret, no body and no whole address.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    pub code: Code,
    pub message: Cow<'static, str>,
    pub remediation: Option<Cow<'static, str>>,
    pub channel: Option<Channel>,
    /// Whole seconds, rounded up.
    pub retry_after_seconds: Option<u64>,
    /// Further fields of the envelope, such as `limit` or `messageId`.
    pub details: Map<String, Value>,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            remediation: None,
            channel: None,
            retry_after_seconds: None,
            details: Map::new(),
        }
    }

    /// A fault of ours. The caller is told nothing but that; the cause belongs in the log beside the request's id.
    pub fn internal() -> Self {
        Self::new(
            Code::Internal,
            "something went wrong on our side; the request's id is in the log",
        )
    }

    /// A backend can't be reached right now.
    pub fn unavailable(what: &'static str) -> Self {
        Self::new(Code::ServiceUnavailable, what).retry_after(1)
    }

    #[must_use]
    pub fn hint(mut self, text: impl Into<Cow<'static, str>>) -> Self {
        self.remediation = Some(text.into());
        self
    }

    #[must_use]
    pub fn on(mut self, channel: Channel) -> Self {
        self.channel = Some(channel);
        self
    }

    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    #[must_use]
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// The flat envelope that tools and routes answer with.
    pub fn envelope(&self) -> Value {
        let mut body = self.details.clone();
        body.insert("error".into(), json!(self.message));
        body.insert("code".into(), json!(self.code.as_str()));
        body.insert("retryable".into(), json!(self.code.is_retryable()));
        if let Some(channel) = self.channel {
            body.insert("channel".into(), json!(channel));
        }
        if let Some(remediation) = &self.remediation {
            body.insert("remediation".into(), json!(remediation));
        }
        if let Some(seconds) = self.retry_after_seconds {
            body.insert("retryAfterSeconds".into(), json!(seconds));
        }
        Value::Object(body)
    }
}
