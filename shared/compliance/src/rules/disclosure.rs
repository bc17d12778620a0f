//! The disclosure to people that an AI assistant writes to them: in the first message of an organization on a channel. A template cannot be
//! changed, so it has the words of its author.

use butt_dial_domain::Code;

use super::Observation;
use crate::{facts::Facts, rule::Rule};

pub fn evaluate(_: &Rule, facts: &Facts) -> Option<Observation> {
    let is_told = facts.is_disclosed || facts.is_colleague || facts.has_template;
    (facts.discloses && !is_told).then(|| {
        Observation::new(
            // Never refuses: the server adds the words.
            Code::Internal,
            "this is the first message to this contact on this channel, and the law demands to say that an AI assistant writes",
            "nothing: the server adds the disclosure",
        )
    })
}
