//! Blocks contacts on the organization's do-not-contact list (47 CFR 64.1200(d)) and addresses that a carrier cannot reach.

use butt_dial_domain::Code;
use butt_dial_store::UNREACHABLE;

use crate::{Facts, Verdict};

pub fn decide(facts: &Facts<'_>) -> Verdict {
    match facts.contact.suppression.as_deref() {
        None => Verdict::Allow,
        // Not the contact's wish: another channel may reach the contact.
        Some(UNREACHABLE) => Verdict::Block {
            code: Code::InvalidRecipient,
            reason: "invalid recipient: a carrier reported that nothing reaches this address",
            hint: "check the address, or use another channel",
        },
        Some(_) => Verdict::Block {
            code: Code::DoNotContact,
            reason: "this contact is on the do-not-contact list",
            hint: "do not try another channel; an administrator keeps the list",
        },
    }
}
