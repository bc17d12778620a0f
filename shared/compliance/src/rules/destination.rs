//! Blocks messages to what is in no numbering plan, unless it is a sender that has written first: short codes are not valid
//! everywhere, and a number without its country code would reach a stranger. Also blocks calls and texts to satellite and premium numbers, unless the operator allows them: fraud aims at these numbers, and a
//! minute costs several dollars.

use butt_dial_domain::{Channel, Code, Destination};

use crate::{Facts, Verdict};

pub fn decide(facts: &Facts<'_>, allowed: &[String]) -> Verdict {
    if facts.to.is_opaque() {
        return decide_opaque(facts);
    }
    let is_call_or_text = matches!(facts.channel, Channel::Voice | Channel::Sms);
    let is_allowed = || {
        allowed
            .iter()
            .any(|prefix| facts.to.as_str().starts_with(prefix.as_str()))
    };
    let reason = match Destination::of(facts.to) {
        Destination::Satellite => {
            "this is a number of a satellite or global network, which costs several dollars per minute"
        }
        Destination::Premium => "this is a premium number, which costs several dollars per minute",
        Destination::Ordinary => return Verdict::Allow,
    };
    if !is_call_or_text || is_allowed() {
        return Verdict::Allow;
    }
    Verdict::Block {
        code: Code::InvalidRecipient,
        reason,
        hint: "use another number, or have the operator allow this destination (ALLOWED_DESTINATIONS)",
    }
}

fn decide_opaque(facts: &Facts<'_>) -> Verdict {
    if facts.contact.last_inbound_at.is_some() || facts.contact.recipient_agent.is_some() {
        return Verdict::Allow;
    }
    Verdict::Block {
        code: Code::InvalidRecipient,
        reason: "invalid recipient: this is no telephone number in E.164 format, and it has never written to you",
        hint: "give one number with its country code, such as +14155550123",
    }
}
