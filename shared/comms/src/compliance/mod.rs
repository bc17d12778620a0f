//! The compliance stage: every rule looks at the same facts, the most severe verdict counts. A rule is one file in `rules/`
//! and one line in `RULES`.

mod rules;

use butt_dial_domain::{Address, AgentId, Channel, Code, Failure, clock::Timestamp, message::Content};
use butt_dial_store::ContactState;

use crate::Comms;

/// What the rules decide upon. Holds a body: must not be logged.
pub struct Facts<'a> {
    pub channel: Channel,
    pub to: &'a Address,
    pub content: &'a Content,
    pub contact: &'a ContactState,
    /// The numbers kept for fiction have written first.
    pub simulated_world: bool,
    pub now: Timestamp,
}

/// What one rule says. Ordered from mild to severe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    Allow,
    /// Sent, and the caller is told.
    Advise(&'static str),
    /// Refused, without override.
    Block {
        code: Code,
        reason: &'static str,
        remedy: &'static str,
    },
}

/// The verdict on a message, and the rule that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    pub rule: &'static str,
    pub opinion: Opinion,
}

impl Ruling {
    pub fn verdict(&self) -> &'static str {
        match self.opinion {
            Opinion::Allow => "allow",
            Opinion::Advise(_) => "advise",
            Opinion::Block { .. } => "block",
        }
    }
}

type Rule = fn(&Facts<'_>) -> Opinion;

/// The id is stored with each message that the rule had a say in; it never changes its meaning.
const RULES: &[(&str, Rule)] = &[
    ("do-not-contact", rules::do_not_contact::judge),
    ("consent-revoked", rules::consent::judge),
    ("whatsapp-window", rules::whatsapp_window::judge),
    ("content", rules::content::judge),
];

/// Judges for an agent: the verdict is counted, and a block is the refusal that the agent gets.
pub fn check(comms: &Comms, agent: &AgentId, facts: &Facts<'_>) -> Result<Ruling, Failure> {
    let ruling = judge(facts);
    comms.metrics.verdict(ruling.verdict(), ruling.rule);
    let Opinion::Block { code, reason, remedy } = ruling.opinion else {
        return Ok(ruling);
    };
    tracing::info!(%agent, rule = ruling.rule, channel = %facts.channel, "compliance refused");
    Err(Failure::new(code, reason)
        .on(facts.channel)
        .remedy(remedy)
        .detail("rule", ruling.rule))
}

/// Asks every rule. The first block ends it; an advice stands unless a block follows.
pub fn judge(facts: &Facts<'_>) -> Ruling {
    let mut ruling = Ruling {
        rule: "none",
        opinion: Opinion::Allow,
    };
    for (rule, judge) in RULES {
        match judge(facts) {
            Opinion::Allow => {}
            block @ Opinion::Block { .. } => return Ruling { rule, opinion: block },
            advice @ Opinion::Advise(_) => ruling = Ruling { rule, opinion: advice },
        }
    }
    ruling
}

#[cfg(test)]
mod tests;
