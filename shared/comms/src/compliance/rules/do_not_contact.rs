//! Whoever is on the organization's do-not-contact list is not contacted (47 CFR 64.1200(d), and common decency).

use butt_dial_domain::Code;

use crate::compliance::{Facts, Opinion};

pub fn judge(facts: &Facts<'_>) -> Opinion {
    if facts.contact.suppression.is_none() {
        return Opinion::Allow;
    }
    Opinion::Block {
        code: Code::DoNotContact,
        reason: "this contact is on the do-not-contact list",
        remedy: "do not try another channel; an administrator keeps the list",
    }
}
