//! Blocks contacts that revoked consent on the channel. A revocation holds from the moment it commits
//! (47 CFR 64.1200(a)(10)).

use butt_dial_domain::Code;
use butt_dial_store::ConsentStatus;

use crate::{Facts, Verdict};

pub fn decide(facts: &Facts<'_>) -> Verdict {
    if facts.contact.consent != Some(ConsentStatus::Revoked) {
        return Verdict::Allow;
    }
    Verdict::Block {
        code: Code::ContactOptedOut,
        reason: "this contact has revoked consent on this channel",
        hint: "only the contact can undo this, by writing START to your address",
    }
}
