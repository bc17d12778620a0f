//! Whoever is on the organization's do-not-contact list is not contacted (47 CFR 64.1200(d), and common decency).

use butt_dial_domain::Code;
use butt_dial_store::UNREACHABLE;

use crate::compliance::{Facts, Opinion};

pub fn judge(facts: &Facts<'_>) -> Opinion {
    match facts.contact.suppression.as_deref() {
        None => Opinion::Allow,
        // Nobody's wish: the person may well be reached elsewhere.
        Some(UNREACHABLE) => Opinion::Block {
            code: Code::InvalidRecipient,
            reason: "invalid recipient: a carrier has told that nothing reaches this address",
            remedy: "check the address, or use another channel",
        },
        Some(_) => Opinion::Block {
            code: Code::DoNotContact,
            reason: "this contact is on the do-not-contact list",
            remedy: "do not try another channel; an administrator keeps the list",
        },
    }
}
