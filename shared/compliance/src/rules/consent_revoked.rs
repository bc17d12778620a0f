//! Contacts that revoked consent, by whatever channel of the same address. A revocation holds from the moment it commits
//! (47 CFR 64.1200(a)(10)). Colleagues of the sender are no contacts: consent is a right of people.

use butt_dial_domain::{Channel, Code, SendPurpose};
use butt_dial_store::ConsentStatus;

use super::Observation;
use crate::{facts::Facts, rule::Rule};

pub fn evaluate(_: &Rule, facts: &Facts) -> Option<Observation> {
    if facts.is_colleague {
        return None;
    }
    if facts.consent == Some(ConsentStatus::Revoked) {
        return Some(opted_out());
    }
    // WhatsApp's own opt-out of marketing. Answers in the window are none.
    let may_be_marketing = facts.has_template || facts.purpose == SendPurpose::Marketing;
    let is_revoked = facts.marketing_consent == Some(ConsentStatus::Revoked);
    (facts.channel == Channel::Whatsapp && may_be_marketing && is_revoked).then(|| {
        Observation::new(
            Code::ContactOptedOut,
            "this contact has opted out of marketing messages on WhatsApp, and a template may be one",
            "answer without a template after the contact has written; only the contact can undo this, in WhatsApp",
        )
    })
}

/// Returns the observation about a contact that has opted out.
pub fn opted_out() -> Observation {
    Observation::new(
        Code::ContactOptedOut,
        "this contact has opted out: consent is revoked on all channels of this address",
        "only the contact can undo this, by writing START to your address",
    )
}
