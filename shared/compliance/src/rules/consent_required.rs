//! Messages and calls that the law allows with consent only. The person's own word suffices, such as START or an answer within 24
//! hours; of what agents have recorded, only the kinds that the rule names.

use butt_dial_domain::{Code, SendPurpose};
use butt_dial_store::ConsentStatus;

use super::Observation;
use crate::{facts::Facts, rule::Rule};

pub fn evaluate(rule: &Rule, facts: &Facts) -> Option<Observation> {
    let kinds = &rule.consent_kinds;
    let suffices = match &facts.consent_kind {
        None => true,
        Some(kind) => kinds.is_empty() || kinds.contains(kind),
    };
    let has_consent = facts.consent == Some(ConsentStatus::Granted) && suffices;
    if has_consent
        || facts.is_colleague
        || facts.is_undeclared_fiction()
        || facts.purpose == SendPurpose::ConversationalReply
    {
        return None;
    }
    let fact = match facts.consent {
        Some(_) => "the recorded consent of this contact does not suffice for this purpose",
        None => "no consent of this contact is recorded, and the law requires it for this purpose",
    };
    Some(Observation::new(
        Code::ConsentRequired,
        fact,
        "record how the person has consented (comms_record_consent, consentType express), or declare the purpose that applies",
    ))
}
