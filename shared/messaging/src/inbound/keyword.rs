//! Consent keywords of messages: STOP, START and HELP, and revocations in a person's own words (47 CFR 64.1200(a)(10)), in the words
//! of `butt_dial_language`.

use butt_dial_compliance::seal_words;
use butt_dial_domain::{
    Channel, OrgId,
    inbound::{InboundMessage, Keyword},
};
use butt_dial_language::{Certainty, Revocation, instruction, keyword, mail_keyword, mail_revocation, revocation};
use butt_dial_store::{ConsentEvidence, ConsentMethod};
use butt_dial_vault::Vault;
use serde_json::{Value, json};

use super::unsubscribe;

/// Reads the tables of words, which the first received message would do otherwise.
pub fn read_tables() {
    const TEXT: &str = "Please stop sending these messages";
    keyword(TEXT);
    revocation(TEXT);
    instruction::find(TEXT);
}

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

/// Returns a revocation as events show it.
pub(crate) fn view(revocation: Revocation) -> Value {
    let certainty = match revocation.certainty {
        Certainty::Clear => "clear",
        Certainty::Likely => "likely",
    };
    json!({ "certainty": certainty, "wrongNumber": revocation.wrong_number })
}

/// Returns the consent that a message gives or revokes, by its keyword or in own words. A revocation that is only likely is shown to the
/// agent, and revokes nothing.
pub(crate) fn consent(keyword: Option<Keyword>, revocation: Option<Revocation>) -> Option<bool> {
    match keyword {
        Some(Keyword::Stop) => Some(false),
        Some(Keyword::Start) => Some(true),
        Some(Keyword::Help) => None,
        None => revocation
            .is_some_and(|revocation| revocation.certainty == Certainty::Clear)
            .then_some(false),
    }
}

/// Returns how a message gives or revokes consent, with its words for the ledger.
pub(super) fn evidence(
    vault: &Vault,
    org: &OrgId,
    (event, carrier): (&str, &str),
    keyword: Option<Keyword>,
    message: &InboundMessage,
) -> ConsentEvidence {
    let words = message.body.as_deref().or(message.subject.as_deref());
    let method = match (keyword, words) {
        _ if carrier == unsubscribe::SOURCE => ConsentMethod::OneClick,
        (None, _) => ConsentMethod::FreeText,
        (Some(_), Some(_)) => ConsentMethod::Keyword,
        // A person who blocks or follows a sender at the vendor writes nothing. The text of a mail may follow.
        (Some(_), None) if message.incomplete => ConsentMethod::Keyword,
        (Some(_), None) => ConsentMethod::VendorPreference,
    };
    ConsentEvidence {
        method,
        words: words.map(|words| seal_words(vault, org, event, words)),
        message: None,
        detail: Some(json!({ "carrier": carrier, "sender": message.to, "carrierMessageId": message.carrier_id })),
    }
}
