//! Contacts on the organization's do-not-contact list (47 CFR 64.1200(d)), and addresses that a carrier cannot reach.

use butt_dial_domain::Code;
use butt_dial_store::UNREACHABLE;

use super::Observation;
use crate::{facts::Facts, rule::Rule};

pub fn evaluate(_: &Rule, facts: &Facts) -> Option<Observation> {
    Some(match facts.suppression.as_deref()? {
        // Not the contact's wish: another channel may reach the contact.
        UNREACHABLE => Observation::new(
            Code::InvalidRecipient,
            "invalid recipient: a carrier reported that nothing reaches this address",
            "check the address, or use another channel",
        ),
        _ => Observation::new(
            Code::DoNotContact,
            "this contact is on the do-not-contact list",
            "do not try another channel; an administrator keeps the list",
        ),
    })
}
