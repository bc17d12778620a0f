//! Recipients in no numbering plan, unless they have written first: short codes are not valid everywhere, and a number
//! without its country code would reach a stranger. Also satellite, premium and Caribbean numbers, unless the operator allows them:
//! fraud aims at these numbers, and a minute of the first two costs several dollars. A person in the Caribbean who has written first
//! is answered.

use butt_dial_domain::{Channel, Code};

use super::Observation;
use crate::{
    facts::{Facts, RecipientKind},
    rule::Rule,
};

pub fn evaluate(_: &Rule, facts: &Facts) -> Option<Observation> {
    let is_call_or_text = matches!(facts.channel, Channel::Voice | Channel::Sms);
    let is_restricted = is_call_or_text && !facts.is_allowed_destination;
    let has_written = facts.last_inbound_at.is_some() || facts.is_colleague;
    match facts.kind {
        RecipientKind::Opaque if !has_written => Some(Observation::new(
            Code::InvalidRecipient,
            "invalid recipient: this is no telephone number in E.164 format, and it has never written to you",
            "give one number with its country code, such as +14155550123",
        )),
        RecipientKind::Satellite if is_restricted => Some(dear(
            "this is a number of a satellite or global network, which costs several dollars per minute",
        )),
        RecipientKind::Premium if is_restricted => {
            Some(dear("this is a premium number, which costs several dollars per minute"))
        }
        RecipientKind::Caribbean if is_restricted && !has_written => Some(dear(
            "this number looks domestic, but is in a Caribbean country, costs as an international one and is a target of fraud",
        )),
        _ => None,
    }
}

fn dear(fact: &'static str) -> Observation {
    Observation::new(
        Code::InvalidRecipient,
        fact,
        "use another number, or have the operator allow this destination (ALLOWED_DESTINATIONS)",
    )
}
