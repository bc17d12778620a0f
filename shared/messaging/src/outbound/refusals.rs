//! Refusals by carriers: the error code of each class, and the texts for the agent.

use std::borrow::Cow;

use butt_dial_domain::{Code, Failure, ports::carrier::RefusalClass};

/// The error code of each class of refusal.
pub fn error_code(class: RefusalClass) -> Code {
    match class {
        RefusalClass::Recipient => Code::InvalidRecipient,
        RefusalClass::OptedOut | RefusalClass::OptedOutOfMarketing => Code::ContactOptedOut,
        RefusalClass::Configuration => Code::ProviderMisconfigured,
        RefusalClass::Content => Code::ProviderRefused,
        RefusalClass::WindowClosed => Code::WhatsappWindowClosed,
        RefusalClass::Throttled => Code::ProviderRateLimited,
        RefusalClass::Unreachable => Code::ServiceUnavailable,
    }
}

/// The failures after which nothing was sent, and a repeat may succeed: their message gives its idempotency key back.
pub(super) const FREED_BY: [Code; 3] = [
    Code::ProviderMisconfigured,
    Code::ProviderRateLimited,
    Code::ServiceUnavailable,
];

/// Parses the stored error code of a message that failed: by a carrier, by a rule when it was due, or by the decision of a person.
/// `None`: the text is not one.
pub(super) fn parse_error_code(text: &str) -> Option<Code> {
    text.parse().ok()
}

/// Returns the error code of a message that failed.
pub(super) fn stored_error_code(failure: Option<&str>) -> Code {
    failure.and_then(parse_error_code).unwrap_or(Code::ProviderRefused)
}

/// Builds the error for a refusal, as a result of the send and for later requests.
pub fn explain(code: Code) -> Failure {
    let (message, hint) = match code {
        Code::InvalidRecipient => (
            "invalid recipient: the carrier can't reach this address",
            "check the address, or use another channel",
        ),
        Code::ContactOptedOut => (
            "the contact has opted out; no consent",
            "only the contact can undo this, by writing START to your address",
        ),
        Code::ProviderMisconfigured => (
            "the carrier refused our account or sender",
            "an operator has to check it; `butt-dial doctor` shows what is wrong",
        ),
        Code::WhatsappWindowClosed => (
            "WhatsApp's 24-hour window is closed",
            "send an approved template (templateId)",
        ),
        Code::AuthForbidden => (
            "the agent is not active; nothing was sent",
            "an administrator has to set it active",
        ),
        Code::DoNotContact => (
            "this contact is on the do-not-contact list",
            "do not try another channel; an administrator keeps the list",
        ),
        Code::ConsentRequired => (
            "no consent of this contact is recorded, and the law requires it for this purpose",
            "record how the person has consented (comms_record_consent, consentType express)",
        ),
        Code::FrequencyCap => (
            "this contact has had as many marketing messages within 24 hours as are allowed",
            "wait until a day has passed since the first one",
        ),
        Code::ContactPaused => (
            "this contact answers like a program, so messages to it are paused for a time",
            "wait until the pause has ended, or ask an administrator to end it",
        ),
        Code::ConversationTakenOver => (
            "a person answers this contact in your place; nothing was sent",
            "wait for the event conversation.returned, or ask an administrator to give the conversation back",
        ),
        Code::PostalAddressRequired => (
            "a marketing mail names the postal address of its sender, and the organization has none",
            "an administrator sets it with PUT /api/v1/compliance-choices",
        ),
        Code::ContentBlocked => (
            "the text contains content that is not allowed",
            "change the text; sending it again as it is will not help",
        ),
        Code::ApprovalRejected => (
            "an administrator has rejected the message; nothing was sent",
            "ask the administrator for the reason, and send another message with a new idempotencyKey",
        ),
        Code::ApprovalExpired => (
            "no administrator has approved the message in time; nothing was sent",
            "send it again with a new idempotencyKey",
        ),
        Code::RateLimited | Code::SpendLimit => (
            "a limit of the agent was reached when the message was due; nothing was sent",
            "wait, or have an administrator raise the limit, and send it again with a new idempotencyKey",
        ),
        Code::ProviderRateLimited => (
            "the carrier accepts no more messages right now; nothing was sent",
            "try again with the same idempotencyKey",
        ),
        Code::ServiceUnavailable => (
            "the carrier can't be reached; nothing was sent",
            "try again with the same idempotencyKey",
        ),
        _ => (
            "the carrier refused the message",
            "change the message; sending it again unchanged will not help",
        ),
    };
    Failure::new(code, message).hint(hint)
}

/// The hint for a failure that a receipt reports. The idempotency key is used up, so a repeat needs a new one.
pub fn hint_after_receipt(code: Code) -> Option<Cow<'static, str>> {
    match code {
        Code::ProviderRateLimited | Code::ServiceUnavailable => {
            Some("the cause may be temporary: send it again later with a new idempotencyKey".into())
        }
        code => explain(code).remediation,
    }
}
