//! A revoked consent holds from the moment it commits (47 CFR 64.1200(a)(10)).

use butt_dial_domain::Code;

use crate::compliance::{Facts, Opinion};

pub fn judge(facts: &Facts<'_>) -> Opinion {
    if facts.contact.consent.as_deref() != Some("revoked") {
        return Opinion::Allow;
    }
    Opinion::Block {
        code: Code::ContactOptedOut,
        reason: "this contact has revoked consent on this channel",
        remedy: "only the contact can undo this, by writing START to your address",
    }
}
