//! Recipients in no numbering plan, unless they have written first: short codes are not valid everywhere, and a number
//! without its country code would reach a stranger. Also satellite and premium numbers, unless the operator allows them: fraud
//! aims at these numbers, and a minute costs several dollars.

use butt_dial_domain::{Channel, Code};

use super::Observation;
use crate::{
    facts::{Facts, RecipientKind},
    rule::Rule,
};

pub fn evaluate(_: &Rule, facts: &Facts) -> Option<Observation> {
    let is_call_or_text = matches!(facts.channel, Channel::Voice | Channel::Sms);
    let costs_dollars = is_call_or_text && !facts.is_allowed_destination;
    let has_written = facts.last_inbound_at.is_some() || facts.is_colleague;
    match facts.kind {
        RecipientKind::Opaque if !has_written => Some(Observation::new(
            Code::InvalidRecipient,
            "invalid recipient: this is no telephone number in E.164 format, and it has never written to you",
            "give one number with its country code, such as +14155550123",
        )),
        RecipientKind::Satellite if costs_dollars => Some(dear(
            "this is a number of a satellite or global network, which costs several dollars per minute",
        )),
        RecipientKind::Premium if costs_dollars => {
            Some(dear("this is a premium number, which costs several dollars per minute"))
        }
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
