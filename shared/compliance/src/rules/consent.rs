//! Blocks contacts that revoked consent, by whatever channel of the same address. A revocation holds from the moment it
//! commits (47 CFR 64.1200(a)(10)). Colleagues of the sender are no contacts: consent is a right of people.

use butt_dial_domain::{Channel, Code};
use butt_dial_store::ConsentStatus;

use crate::{Facts, Verdict};

pub fn decide(facts: &Facts<'_>) -> Verdict {
    if facts.contact.recipient_agent.is_some() {
        return Verdict::Allow;
    }
    if facts.contact.consent == Some(ConsentStatus::Revoked) {
        return opted_out();
    }
    // WhatsApp's own opt-out of marketing. Answers in the window are none.
    let is_template = facts.channel == Channel::Whatsapp && facts.content.template.is_some();
    if is_template && facts.contact.marketing == Some(ConsentStatus::Revoked) {
        return Verdict::Block {
            code: Code::ContactOptedOut,
            reason: "this contact has opted out of marketing messages on WhatsApp, and a template may be one",
            hint: "answer without a template after the contact has written; only the contact can undo this, in WhatsApp",
        };
    }
    Verdict::Allow
}

/// Returns the verdict on a contact that has opted out.
pub fn opted_out() -> Verdict {
    Verdict::Block {
        code: Code::ContactOptedOut,
        reason: "this contact has opted out: consent is revoked on all channels of this address",
        hint: "only the contact can undo this, by writing START to your address",
    }
}
