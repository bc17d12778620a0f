//! The codes that operations declare, in groups, and an example of each for the API description.

use butt_dial_domain::{Channel, Code, Failure};

/// Every operation may return these: authentication, invalid arguments, and faults.
pub const COMMON: &[Code] = &[
    Code::AuthMissingHeader,
    Code::AuthInvalidToken,
    Code::AuthTokenRevoked,
    Code::AuthWrongScope,
    Code::AuthForbidden,
    Code::AuthLockedOut,
    Code::MissingFields,
    Code::InvalidArgument,
    Code::PayloadTooLarge,
    Code::ServiceUnavailable,
    Code::Internal,
];

/// The same of operations that need no token.
pub const OPEN: &[Code] = &[
    Code::MissingFields,
    Code::InvalidArgument,
    Code::RateLimited,
    Code::PayloadTooLarge,
    Code::ServiceUnavailable,
    Code::Internal,
];

/// Sending a message or placing a call.
pub const SEND: &[Code] = &[
    Code::AgentNotFound,
    Code::InvalidRecipient,
    Code::InvalidContent,
    Code::NoChannelAssigned,
    Code::ChannelUnavailable,
    Code::PoolExhaustedForContact,
    Code::WhatsappWindowClosed,
    Code::ContactOptedOut,
    Code::DoNotContact,
    Code::ContentBlocked,
    Code::ConsentRequired,
    Code::OutsideAllowedHours,
    Code::FrequencyCap,
    Code::ContactPaused,
    Code::ConversationTakenOver,
    Code::PostalAddressRequired,
    Code::ApprovalRequired,
    Code::ApprovalRejected,
    Code::ApprovalExpired,
    Code::RateLimited,
    Code::SpendLimit,
    Code::IdempotencyConflict,
    Code::ProviderRefused,
    Code::ProviderRateLimited,
    Code::ProviderMisconfigured,
    Code::NotSupported,
];

/// Buying, adopting and registering senders.
pub const PROVISIONING: &[Code] = &[
    Code::AlreadyExists,
    Code::NotFound,
    Code::NumberUnavailable,
    Code::NoChannelAssigned,
    Code::ChannelUnavailable,
    Code::RateLimited,
    Code::SpendLimit,
    Code::ProviderUnsupported,
    Code::ProviderWebhookWireFailed,
    Code::ProviderRefused,
    Code::ProviderMisconfigured,
    Code::NotSupported,
];

/// Commands to a live call.
pub const CALL_COMMAND: &[Code] = &[
    Code::CallNotFound,
    Code::CallOver,
    Code::CallRinging,
    Code::TurnSuperseded,
];

/// Speech synthesis.
pub const SPEECH: &[Code] = &[
    Code::InvalidContent,
    Code::NotSupported,
    Code::ProviderRefused,
    Code::ProviderRateLimited,
    Code::ProviderMisconfigured,
    Code::RateLimited,
    Code::SpendLimit,
];

/// Waiting for an event or a turn.
pub const WAIT: &[Code] = &[Code::RateLimited];

/// Returns a failure as an operation would return it, for the API description.
pub fn example(code: Code) -> Failure {
    let failure = Failure::new(code, example_message(code));
    match code {
        Code::MissingFields => failure.detail("fields", vec!["to"]),
        Code::InvalidArgument => failure.detail("fields", vec!["limit"]),
        Code::RateLimited => failure.hint("retry after the given time").retry_after(17),
        Code::AuthLockedOut => failure.hint("wait, then use a valid token").retry_after(900),
        Code::ServiceUnavailable => failure.hint("retry with the same idempotencyKey").retry_after(1),
        Code::ProviderRateLimited => failure.on(Channel::Sms).retry_after(5),
        Code::ContactPaused => failure
            .detail("pausedUntil", "2026-11-28T10:00:00Z")
            .retry_after(3_600)
            .hint("write to it again after retryAfterSeconds"),
        Code::ConversationTakenOver => failure
            .detail("takenOverUntil", "2026-11-28T10:00:00Z")
            .retry_after(3_600)
            .hint("wait for the event conversation.returned"),
        Code::TosVersionMismatch => failure.detail("currentVersion", "2026-11"),
        Code::SpendLimit => failure.hint("raise the limit with comms_set_agent_limits, or wait for the next period"),
        Code::NoChannelAssigned => failure.on(Channel::Whatsapp).hint("assign a sender to the agent"),
        Code::WhatsappWindowClosed => failure.on(Channel::Whatsapp).hint("use another channel"),
        Code::TurnSuperseded => failure.hint("answer the newer turn in next"),
        Code::IdempotencyConflict => failure.hint("use a new idempotencyKey for a new message"),
        _ => failure,
    }
}

fn example_message(code: Code) -> &'static str {
    match code {
        Code::MissingFields => "to is required",
        Code::InvalidArgument => "limit must be a whole number of 0 or more",
        Code::InvalidRecipient => "the recipient is not a phone number in E.164 form",
        Code::InvalidContent => "the text is longer than the channel allows",
        Code::AuthMissingHeader => "the Authorization header is missing",
        Code::AuthInvalidToken => "the token is not valid",
        Code::AuthTokenRevoked => "the token has been revoked",
        Code::AuthWrongScope => "this route requires an agent's token",
        Code::AuthForbidden => "the token's scope does not allow this operation",
        Code::AuthLockedOut => "too many invalid tokens from this address",
        Code::AgentNotFound => "there is no agent with this id",
        Code::MessageNotFound => "there is no message with this id",
        Code::CallNotFound => "there is no call with this id",
        Code::CallOver => "the call has ended",
        Code::CallRinging => "the call is still ringing",
        Code::TurnSuperseded => "the caller has spoken again",
        Code::NotCancellable => "the message has left already",
        Code::NotFound => "there is no filter with this id",
        Code::MethodNotAllowed => "this route does not support the request's method",
        Code::AlreadyExists => "an agent with this id already exists",
        Code::NoChannelAssigned => "the agent has no sender on this channel",
        Code::ChannelUnavailable => "no carrier is configured for this channel",
        Code::WhatsappWindowClosed => "the contact has not written within 24 hours",
        Code::ContactOptedOut => "the contact has opted out",
        Code::DoNotContact => "the contact is on the do-not-contact list",
        Code::ContentBlocked => "the text contains content that is not allowed",
        Code::ConsentRequired => "no consent of this contact is recorded, and the law requires it for this purpose",
        Code::OutsideAllowedHours => "messages of this purpose are not allowed at this local time",
        Code::FrequencyCap => "this contact has had as many messages as are allowed",
        Code::ContactPaused => "this contact answers like a program, so messages to it are paused",
        Code::ConversationTakenOver => "a person answers this contact in your place",
        Code::PostalAddressRequired => {
            "a marketing mail names the postal address of its sender, and the organization has none"
        }
        Code::ApprovalRequired => "messages of this kind need the approval of a person",
        Code::ApprovalRejected => "an administrator has rejected the message",
        Code::ApprovalExpired => "no administrator has approved the message in time",
        Code::RateLimited => "rate limit reached",
        Code::SpendLimit => "the spend limit of the day is reached",
        Code::IdempotencyConflict => "this idempotencyKey was used for another message",
        Code::ProviderRefused => "the carrier refused the message",
        Code::ProviderRateLimited => "the carrier's rate limit is reached",
        Code::ProviderMisconfigured => "the carrier refused the configured credentials",
        Code::NotSupported => "this server does not support the request",
        Code::PayloadTooLarge => "the body is larger than 4 MiB",
        Code::UnsupportedMediaType => "the content type must be application/json",
        Code::NotAcceptable => "the client must accept application/json and text/event-stream",
        Code::LinkExpired => "this link has expired",
        Code::VerificationTokenInvalid => "the verification link is not valid",
        Code::VerificationTokenExpired => "the verification link has expired",
        Code::AlreadyVerified => "this organization is verified already",
        Code::OrgAlreadyVerified => "a verified organization can not be abandoned",
        Code::TemplateMissingVerifyUrl => "the template does not contain {{verify_url}}",
        Code::TemplateTooLarge => "the template is larger than 200 KB",
        Code::RegistrationClosed => "this installation accepts no registrations",
        Code::AuthRequired => "the poll token is missing or not valid",
        Code::AuthTimestampExpired => "the timestamp of the request is more than 60 seconds off",
        Code::AuthNonceReplay => "this nonce has been used",
        Code::WebhookSecretUnregistered => "this organization has no webhook secret",
        Code::OnboardingSessionInvalid => "the onboarding session is not valid",
        Code::OnboardingSessionExpired => "the onboarding session has expired",
        Code::TosVersionMismatch => "another version of the terms is in force",
        Code::PhoneInvalid => "the phone number is not in E.164 form",
        Code::PhoneNotConfigured => "the organization has no confirmed phone number",
        Code::ChallengeNotFound => "there is no such challenge",
        Code::OtpInvalid => "the code is wrong",
        Code::OtpExpired => "the code has expired",
        Code::OtpMaxAttempts => "too many wrong codes",
        Code::ProviderUnsupported => "the provider does not support this action",
        Code::ProviderWebhookWireFailed => "the provider refused the webhook configuration",
        Code::PoolExhaustedForContact => "every sender of the pool serves another agent for this contact",
        Code::NumberUnavailable => "the number is not available any more",
        Code::Conflict => "someone else changed this at the same time",
        Code::ServiceUnavailable => "the database is not available right now",
        Code::Internal => "internal error",
    }
}
