//! Messages that a person approves before they are sent. The rule says which.

use butt_dial_domain::Code;

use super::Observation;
use crate::{facts::Facts, rule::Rule};

pub fn evaluate(_: &Rule, facts: &Facts) -> Option<Observation> {
    (!facts.is_colleague).then(|| {
        Observation::new(
            Code::ApprovalRequired,
            "messages of this kind need the approval of a person",
            "wait until an administrator has approved the message (comms_decide_approval)",
        )
    })
}
