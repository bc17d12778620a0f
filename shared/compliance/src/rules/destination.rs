//! Blocks calls and texts to satellite and premium numbers, unless the operator allows them: fraud aims at these numbers, and a
//! minute costs several dollars.

use butt_dial_domain::{Channel, Code, Destination};

use crate::{Facts, Verdict};

pub fn decide(facts: &Facts<'_>, allowed: &[String]) -> Verdict {
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
