//! WhatsApp lets a business write freely only within 24 hours of the person's last message; otherwise it takes a template.
//! Twilio accepts such a message and fails it afterwards (error 63016), so it has to be refused here.

use butt_dial_domain::{Channel, Code};
use chrono::TimeDelta;

use crate::compliance::{Facts, Opinion};

const WINDOW: TimeDelta = TimeDelta::hours(24);

pub fn judge(facts: &Facts<'_>) -> Opinion {
    let open = facts.contact.last_inbound_at.is_some_and(|at| facts.now - at < WINDOW)
        // Between agents of one organization there is no WhatsApp.
        || facts.contact.colleague.is_some()
        || (facts.simulated_world && is_for_fiction(facts.to.as_str()));
    if facts.channel != Channel::Whatsapp || facts.content.template.is_some() || open {
        return Opinion::Allow;
    }
    Opinion::Block {
        code: Code::WhatsappWindowClosed,
        reason: "this person has not written to you on WhatsApp within the last 24 hours",
        remedy: "send an approved template (templateId, templateVariables), or use another channel",
    }
}

/// +1 415 555 0100 to 0199: the numbers that nobody is ever given (North American Numbering Plan, 555-01xx).
fn is_for_fiction(number: &str) -> bool {
    number.len() == 12 && number.starts_with("+141555501")
}
