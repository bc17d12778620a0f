//! Numbers of emergency services. An agent must never call or text them.

use butt_dial_domain::Code;

use super::Observation;
use crate::{
    facts::{Facts, RecipientKind},
    rule::Rule,
};

pub fn evaluate(_: &Rule, facts: &Facts) -> Option<Observation> {
    (facts.kind == RecipientKind::Emergency).then(|| {
        Observation::new(
            Code::InvalidRecipient,
            "invalid recipient: this is the number of an emergency service",
            "a person has to call emergency services",
        )
    })
}
