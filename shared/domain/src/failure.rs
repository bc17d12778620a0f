//! The errors of the API: a code, a message, a hint on how to fix it, and whether a retry may succeed.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::Channel;

/// The error codes of tools and routes. `http_status` maps them to HTTP statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
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
    CallRinging,
    TurnSuperseded,
    NotCancellable,
    NotFound,
    MethodNotAllowed,
    AlreadyExists,
    NoChannelAssigned,
    ChannelUnavailable,
    WhatsappWindowClosed,
    ContactOptedOut,
    DoNotContact,
    ContentBlocked,
    ConsentRequired,
    OutsideAllowedHours,
    FrequencyCap,
    ContactPaused,
    ConversationTakenOver,
    PostalAddressRequired,
    ApprovalRequired,
    ApprovalRejected,
    ApprovalExpired,
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
    VerificationTokenInvalid,
    VerificationTokenExpired,
    AlreadyVerified,
    OrgAlreadyVerified,
    TemplateMissingVerifyUrl,
    TemplateTooLarge,
    RegistrationClosed,
    AuthRequired,
    AuthTimestampExpired,
    AuthNonceReplay,
    WebhookSecretUnregistered,
    OnboardingSessionInvalid,
    OnboardingSessionExpired,
    TosVersionMismatch,
    PhoneInvalid,
    PhoneNotConfigured,
    ChallengeNotFound,
    OtpInvalid,
    OtpExpired,
    OtpMaxAttempts,
    ProviderUnsupported,
    ProviderWebhookWireFailed,
    PoolExhaustedForContact,
    NumberUnavailable,
    Conflict,
    ServiceUnavailable,
    #[strum(serialize = "INTERNAL_ERROR")]
    Internal,
}

impl Code {
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the HTTP status of the code on REST routes. 401 and 429 have `AUTH_*` codes only where the Python client
    /// expects them.
    pub fn http_status(self) -> u16 {
        match self {
            Self::MissingFields
            | Self::InvalidArgument
            | Self::InvalidRecipient
            | Self::InvalidContent
            | Self::VerificationTokenInvalid
            | Self::VerificationTokenExpired
            | Self::TemplateMissingVerifyUrl
            | Self::TemplateTooLarge
            | Self::OnboardingSessionInvalid
            | Self::OnboardingSessionExpired
            | Self::PhoneInvalid
            | Self::OtpInvalid => 400,
            Self::AuthMissingHeader
            | Self::AuthInvalidToken
            | Self::AuthTokenRevoked
            | Self::AuthWrongScope
            | Self::AuthRequired => 401,
            Self::SpendLimit => 402,
            Self::AuthForbidden
            | Self::AuthTimestampExpired
            | Self::WebhookSecretUnregistered
            | Self::RegistrationClosed => 403,
            Self::AgentNotFound
            | Self::MessageNotFound
            | Self::CallNotFound
            | Self::ChallengeNotFound
            | Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::AlreadyExists
            | Self::CallRinging
            | Self::TurnSuperseded
            | Self::NotCancellable
            | Self::AlreadyVerified
            | Self::OrgAlreadyVerified
            | Self::AuthNonceReplay
            | Self::TosVersionMismatch
            | Self::NumberUnavailable
            | Self::Conflict => 409,
            Self::NotAcceptable => 406,
            Self::CallOver | Self::LinkExpired | Self::OtpExpired => 410,
            Self::PayloadTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::NoChannelAssigned
            | Self::ChannelUnavailable
            | Self::WhatsappWindowClosed
            | Self::ContactOptedOut
            | Self::DoNotContact
            | Self::ContentBlocked
            | Self::ConsentRequired
            | Self::OutsideAllowedHours
            | Self::FrequencyCap
            | Self::ContactPaused
            | Self::ConversationTakenOver
            | Self::PostalAddressRequired
            | Self::ApprovalRequired
            | Self::ApprovalRejected
            | Self::ApprovalExpired
            | Self::IdempotencyConflict
            | Self::ProviderRefused
            | Self::NotSupported
            | Self::PhoneNotConfigured
            | Self::ProviderUnsupported
            | Self::PoolExhaustedForContact => 422,
            Self::RateLimited | Self::AuthLockedOut | Self::ProviderRateLimited | Self::OtpMaxAttempts => 429,
            Self::Internal => 500,
            Self::ProviderMisconfigured | Self::ProviderWebhookWireFailed => 502,
            Self::ServiceUnavailable => 503,
        }
    }

    /// Returns whether a wait can end a failure with this code.
    pub fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::AuthLockedOut
                | Self::CallRinging
                | Self::RateLimited
                | Self::SpendLimit
                | Self::ProviderRateLimited
                | Self::ProviderWebhookWireFailed
                | Self::AuthTimestampExpired
                | Self::ServiceUnavailable
                | Self::Internal
        )
    }
}

/// An error response. Contains no secret, no message body and no full address.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    pub code: Code,
    pub message: Cow<'static, str>,
    pub remediation: Option<Cow<'static, str>>,
    pub channel: Option<Channel>,
    /// Whole seconds, rounded up.
    pub retry_after_seconds: Option<u64>,
    /// A wait does not help, although it does for other failures with this code.
    pub is_lasting: bool,
    /// More fields of the response, such as `limit` or `messageId`.
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
            is_lasting: false,
            details: Map::new(),
        }
    }

    /// Creates an internal error. Its cause is logged with the request id and is not part of the response.
    pub fn internal() -> Self {
        Self::new(Code::Internal, "internal error; the request id is in the server log")
    }

    /// Creates the error of an unreachable backend, with a retry after one second.
    pub fn unavailable(message: &'static str) -> Self {
        Self::new(Code::ServiceUnavailable, message).retry_after(1)
    }

    /// Adds the instruction on how to fix the error.
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

    /// Adds the wait before a retry, in whole seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Marks a failure that a wait does not end.
    #[must_use]
    pub fn lasting(mut self) -> Self {
        self.is_lasting = true;
        self
    }

    /// Returns whether the same request may succeed later without a change.
    pub fn is_retryable(&self) -> bool {
        self.code.is_retryable() && !self.is_lasting
    }

    /// Adds a field to the response.
    #[must_use]
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }

    /// Returns the flat JSON object of tool results and response bodies.
    pub fn envelope(&self) -> Value {
        let mut body = self.details.clone();
        body.insert("error".into(), json!(self.message));
        body.insert("code".into(), json!(self.code.as_str()));
        body.insert("retryable".into(), json!(self.is_retryable()));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_wire_strings_of_codes() {
        for (code, text) in [
            (Code::MissingFields, "MISSING_FIELDS"),
            (Code::InvalidArgument, "INVALID_ARGUMENT"),
            (Code::InvalidRecipient, "INVALID_RECIPIENT"),
            (Code::InvalidContent, "INVALID_CONTENT"),
            (Code::AuthMissingHeader, "AUTH_MISSING_HEADER"),
            (Code::AuthInvalidToken, "AUTH_INVALID_TOKEN"),
            (Code::AuthTokenRevoked, "AUTH_TOKEN_REVOKED"),
            (Code::AuthWrongScope, "AUTH_WRONG_SCOPE"),
            (Code::AuthForbidden, "AUTH_FORBIDDEN"),
            (Code::AuthLockedOut, "AUTH_LOCKED_OUT"),
            (Code::AgentNotFound, "AGENT_NOT_FOUND"),
            (Code::MessageNotFound, "MESSAGE_NOT_FOUND"),
            (Code::CallNotFound, "CALL_NOT_FOUND"),
            (Code::CallOver, "CALL_OVER"),
            (Code::CallRinging, "CALL_RINGING"),
            (Code::TurnSuperseded, "TURN_SUPERSEDED"),
            (Code::NotFound, "NOT_FOUND"),
            (Code::MethodNotAllowed, "METHOD_NOT_ALLOWED"),
            (Code::AlreadyExists, "ALREADY_EXISTS"),
            (Code::NoChannelAssigned, "NO_CHANNEL_ASSIGNED"),
            (Code::ChannelUnavailable, "CHANNEL_UNAVAILABLE"),
            (Code::WhatsappWindowClosed, "WHATSAPP_WINDOW_CLOSED"),
            (Code::ContactOptedOut, "CONTACT_OPTED_OUT"),
            (Code::DoNotContact, "DO_NOT_CONTACT"),
            (Code::ContentBlocked, "CONTENT_BLOCKED"),
            (Code::RateLimited, "RATE_LIMITED"),
            (Code::SpendLimit, "SPEND_LIMIT"),
            (Code::IdempotencyConflict, "IDEMPOTENCY_CONFLICT"),
            (Code::ProviderRefused, "PROVIDER_REFUSED"),
            (Code::ProviderRateLimited, "PROVIDER_RATE_LIMITED"),
            (Code::ProviderMisconfigured, "PROVIDER_MISCONFIGURED"),
            (Code::NotSupported, "NOT_SUPPORTED"),
            (Code::PayloadTooLarge, "PAYLOAD_TOO_LARGE"),
            (Code::UnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE"),
            (Code::NotAcceptable, "NOT_ACCEPTABLE"),
            (Code::LinkExpired, "LINK_EXPIRED"),
            (Code::ServiceUnavailable, "SERVICE_UNAVAILABLE"),
            (Code::Internal, "INTERNAL_ERROR"),
        ] {
            assert_eq!((code.as_str(), code.to_string().as_str()), (text, text));
        }
    }
}
