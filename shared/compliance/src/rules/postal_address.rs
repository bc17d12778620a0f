//! Commercial mails name the postal address of their sender.

use butt_dial_domain::Code;

use super::Observation;
use crate::{facts::Facts, rule::Rule};

pub fn evaluate(_: &Rule, facts: &Facts) -> Option<Observation> {
    (!facts.has_postal_address && !facts.is_colleague).then(|| {
        Observation::new(
            Code::PostalAddressRequired,
            "a marketing mail names the postal address of its sender, and the organization has none",
            "an administrator sets it with PUT /api/v1/compliance-choices",
        )
    })
}
