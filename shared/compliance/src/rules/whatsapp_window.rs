//! WhatsApp's customer service window: free text is allowed within 24 hours of the contact's last message, a template always.
//! Twilio accepts a message outside the window and fails it later (error 63016), so it is refused here.

use butt_dial_domain::Code;
use chrono::TimeDelta;

use super::Observation;
use crate::{facts::Facts, rule::Rule};

const WINDOW: TimeDelta = TimeDelta::hours(24);

pub fn evaluate(_: &Rule, facts: &Facts) -> Option<Observation> {
    let is_open = facts.last_inbound_at.is_some_and(|at| facts.at - at < WINDOW);
    // A message to an agent of the same organization does not pass through WhatsApp.
    if is_open || facts.has_template || facts.is_colleague || facts.is_fictional {
        return None;
    }
    Some(Observation::new(
        Code::WhatsappWindowClosed,
        "this person has not written to you on WhatsApp within the last 24 hours",
        "send an approved template (templateId, templateVariables), or use another channel",
    ))
}
