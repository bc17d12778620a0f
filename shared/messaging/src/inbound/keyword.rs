//! Consent keywords of messages: STOP, START and HELP, and revocations in a person's own words (47 CFR 64.1200(a)(10)), in the words
//! of `butt_dial_language`.

use butt_dial_domain::{
    Channel,
    inbound::{InboundMessage, Keyword},
};
use butt_dial_language::{Certainty, Revocation, keyword, mail_keyword, mail_revocation, revocation};

/// Detects the keyword of a message. A mail has STOP and START, in its subject or, once it is fetched, in its text. HELP
/// in a mail is a request to the agent.
pub(super) fn detect(message: &InboundMessage) -> Option<Keyword> {
    if message.answered_keyword.is_some() {
        return message.answered_keyword;
    }
    if message.channel != Channel::Email {
        return message.typed_text().and_then(keyword);
    }
    if message.mail.as_ref().is_some_and(|mail| mail.automated.is_some()) {
        return None;
    }
    let subject = message.subject.as_deref().unwrap_or_default();
    let text = message.body.as_deref().unwrap_or_default();
    mail_keyword(subject, text).filter(|keyword| *keyword != Keyword::Help)
}

/// Detects a revocation of consent in a message without a keyword.
pub(super) fn detect_revocation(message: &InboundMessage) -> Option<Revocation> {
    let text = message.typed_text().unwrap_or_default();
    match message.channel {
        Channel::Email if message.mail.as_ref().is_some_and(|mail| mail.automated.is_some()) => None,
        Channel::Email => mail_revocation(
            message.subject.as_deref().unwrap_or_default(),
            message.body.as_deref().unwrap_or_default(),
        ),
        _ => revocation(text),
    }
}

/// The name of a certainty in events.
pub(super) fn certainty_name(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Clear => "clear",
        Certainty::Likely => "likely",
    }
}

/// Returns the consent that a message gives or revokes, by its keyword or in own words. A revocation that is only likely is shown to the
/// agent, and revokes nothing.
pub(super) fn consent(keyword: Option<Keyword>, revocation: Option<Revocation>) -> Option<bool> {
    match keyword {
        Some(Keyword::Stop) => Some(false),
        Some(Keyword::Start) => Some(true),
        Some(Keyword::Help) => None,
        None => revocation
            .is_some_and(|revocation| revocation.certainty == Certainty::Clear)
            .then_some(false),
    }
}
