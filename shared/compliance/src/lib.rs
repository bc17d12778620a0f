//! Compliance: decides whether a message or call to a contact is allowed.
//!
//! [`decide`] is pure: it gives every rule the same [`Facts`] and returns the most severe verdict. A rule is one file in
//! `rules/` and one line in `CONTACT_RULES`; the content is checked apart, because only its cost grows with the text. [`Compliance::check`] applies the decision for an agent: it counts the verdict and turns
//! a block into the refusal that the agent receives.

mod consents;
mod rules;

use std::sync::Arc;

use butt_dial_domain::{Address, AgentId, Channel, Code, Failure, clock::Timestamp, message::Content};
use butt_dial_store::ContactState;
use prometheus::{IntCounterVec, Opts, Registry};

pub use butt_dial_store::ConsentStatus;
pub use consents::{CONSENT_KINDS, ConsentState, Consents, NewConsent};

/// The facts that rules decide on. They hold a body and must not be logged.
pub struct Facts<'a> {
    pub channel: Channel,
    pub to: &'a Address,
    pub content: &'a Content,
    pub contact: &'a ContactState,
    /// True if the carriers are simulated: numbers reserved for fiction count as contacts that have written first.
    pub simulated_world: bool,
    pub now: Timestamp,
}

/// The result of one rule, from mild to severe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    /// The message is sent and the caller gets this advice.
    Advise(&'static str),
    /// The message is refused. There is no override.
    Block {
        code: Code,
        reason: &'static str,
        hint: &'static str,
    },
}

/// The verdict on a message and the id of the rule that gave it (`none` if no rule applied).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub rule: &'static str,
    pub verdict: Verdict,
}

impl Decision {
    /// The verdict as it is stored and counted.
    pub fn label(&self) -> &'static str {
        match self.verdict {
            Verdict::Allow => "allow",
            Verdict::Advise(_) => "advise",
            Verdict::Block { .. } => "block",
        }
    }
}

type Rule = fn(&Facts<'_>) -> Verdict;

const CONSENT_REVOKED: &str = "consent-revoked";
const CONTENT: &str = "content";

/// The rules about the contact. Ids are stored with messages, so an id never changes its meaning.
const CONTACT_RULES: &[(&str, Rule)] = &[
    ("do-not-contact", rules::do_not_contact::decide),
    (CONSENT_REVOKED, rules::consent::decide),
    ("whatsapp-window", rules::whatsapp_window::decide),
];

/// Applies every rule. The first block ends the evaluation; an advice stands unless a block follows.
pub fn decide(facts: &Facts<'_>) -> Decision {
    match decide_contact(facts) {
        block @ Decision {
            verdict: Verdict::Block { .. },
            ..
        } => block,
        decision => decide_content(facts.content, decision),
    }
}

/// Applies the rule about the content to a message with this decision on its contact.
fn decide_content(content: &Content, contact: Decision) -> Decision {
    match rules::content::decide(content) {
        Verdict::Allow => contact,
        verdict => Decision { rule: CONTENT, verdict },
    }
}

fn decide_contact(facts: &Facts<'_>) -> Decision {
    let mut decision = Decision {
        rule: "none",
        verdict: Verdict::Allow,
    };
    for (rule, decide) in CONTACT_RULES {
        match decide(facts) {
            Verdict::Allow => {}
            block @ Verdict::Block { .. } => return Decision { rule, verdict: block },
            advice @ Verdict::Advise(_) => decision = Decision { rule, verdict: advice },
        }
    }
    decision
}

/// Applies decisions for agents and counts verdicts. Cheap to clone.
#[derive(Clone)]
pub struct Compliance {
    verdicts: IntCounterVec,
    /// Beginnings of numbers that are allowed although they are satellite or premium numbers.
    allowed_destinations: Arc<[String]>,
}

impl Compliance {
    /// Registers the metrics of compliance. `allowed_destinations` are the beginnings of satellite and premium numbers that
    /// the operator allows, such as `+8816`.
    pub fn register(registry: &Registry, allowed_destinations: &[String]) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("bd_compliance_verdicts_total", "Verdicts of the compliance stage.");
        let verdicts = IntCounterVec::new(opts, &["verdict", "rule"])?;
        registry.register(Box::new(verdicts.clone()))?;
        Ok(Self {
            verdicts,
            allowed_destinations: allowed_destinations.into(),
        })
    }

    /// Checks a text that is spoken or shown besides a message, such as the name of a requester, with the content filter.
    pub fn check_text(&self, agent: &AgentId, channel: Channel, text: &str) -> Result<(), Failure> {
        let decision = Decision {
            rule: CONTENT,
            verdict: rules::content::decide_text(text),
        };
        match refusal(agent, channel, &decision) {
            Some(failure) => {
                self.count(&decision);
                Err(failure)
            }
            None => Ok(()),
        }
    }

    /// Decides for an agent. A block is returned as the agent's refusal, with the rule in its details.
    pub fn check(&self, agent: &AgentId, facts: &Facts<'_>) -> Result<Decision, Failure> {
        let decision = self.decide_destination(facts).unwrap_or_else(|| decide(facts));
        self.count(&decision);
        match refusal(agent, facts.channel, &decision) {
            Some(failure) => Err(failure),
            None => Ok(decision),
        }
    }

    /// Decides on the contact of a message, before its content is checked. Counts blocks only.
    pub fn check_contact(&self, agent: &AgentId, facts: &Facts<'_>) -> Result<Decision, Failure> {
        let decision = self.decide_destination(facts).unwrap_or_else(|| decide_contact(facts));
        match refusal(agent, facts.channel, &decision) {
            Some(failure) => {
                self.count(&decision);
                Err(failure)
            }
            None => Ok(decision),
        }
    }

    /// Decides on the content of a message, after `check_contact` has allowed its contact.
    pub fn check_content(
        &self,
        agent: &AgentId,
        channel: Channel,
        content: &Content,
        contact: &Decision,
    ) -> Result<(), Failure> {
        let decision = decide_content(content, contact.clone());
        self.count(&decision);
        refusal(agent, channel, &decision).map_or(Ok(()), Err)
    }

    /// Returns the refusal of a contact that opted out after the rules were applied.
    pub fn refuse_opted_out(&self, agent: &AgentId, channel: Channel) -> Failure {
        let decision = Decision {
            rule: CONSENT_REVOKED,
            verdict: rules::consent::opted_out(),
        };
        self.count(&decision);
        refusal(agent, channel, &decision).unwrap_or_else(Failure::internal)
    }

    /// Returns the block of a number that the operator does not allow.
    fn decide_destination(&self, facts: &Facts<'_>) -> Option<Decision> {
        match rules::destination::decide(facts, &self.allowed_destinations) {
            Verdict::Allow => None,
            verdict => Some(Decision {
                rule: "destination",
                verdict,
            }),
        }
    }

    fn count(&self, decision: &Decision) {
        self.verdicts
            .with_label_values(&[decision.label(), decision.rule])
            .inc();
    }
}

/// Returns the refusal that the agent receives for a block.
fn refusal(agent: &AgentId, channel: Channel, decision: &Decision) -> Option<Failure> {
    let Verdict::Block { code, reason, hint } = decision.verdict else {
        return None;
    };
    tracing::info!(%agent, rule = decision.rule, %channel, "compliance block");
    let failure = Failure::new(code, reason).on(channel).hint(hint);
    Some(failure.detail("rule", decision.rule))
}

#[cfg(test)]
mod tests;
