//! WhatsApp's customer service window: free text is allowed within 24 hours of the contact's last message, a template always.
//! Twilio accepts a message outside the window and fails it later (error 63016), so it is refused here.

use butt_dial_domain::{Channel, Code};
use chrono::TimeDelta;

use crate::{Facts, Verdict};

const WINDOW: TimeDelta = TimeDelta::hours(24);

pub fn decide(facts: &Facts<'_>) -> Verdict {
    let open = facts.contact.last_inbound_at.is_some_and(|at| facts.now - at < WINDOW)
        // A message to an agent of the same organization does not pass through WhatsApp.
        || facts.contact.recipient_agent.is_some()
        || (facts.simulated_world && is_fictional(facts.to.as_str()));
    if facts.channel != Channel::Whatsapp || facts.content.template.is_some() || open {
        return Verdict::Allow;
    }
    Verdict::Block {
        code: Code::WhatsappWindowClosed,
        reason: "this person has not written to you on WhatsApp within the last 24 hours",
        hint: "send an approved template (templateId, templateVariables), or use another channel",
    }
}

/// +1 415 555 0100 to 0199, reserved for fiction (North American Numbering Plan, 555-01xx).
fn is_fictional(number: &str) -> bool {
    number.len() == 12 && number.starts_with("+141555501")
}
