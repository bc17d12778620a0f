//! Compliance: decides whether a message or call to a contact is allowed.
//!
//! Rules are data ([`RuleSet`], `deploy/rules/`): where, when and to what they apply, and how severe they are. Their evaluators are
//! code, one file each in `rules/`. [`decide`] is pure: the same rules and [`Facts`] give the same [`Decision`], today and when
//! history is replayed against other rules. The content is checked apart, because only its cost grows with the text.
//! [`Compliance`] applies decisions for agents: it counts verdicts and turns a block into the refusal that the agent receives.

mod choices;
mod consent_import;
mod consent_ledger;
mod consents;
mod decision;
mod do_not_contact;
mod facts;
mod history;
mod holidays;
mod hours;
mod place;
mod rule;
mod rule_set;
mod rules;

use std::sync::Arc;

use butt_dial_domain::{Address, AgentId, Channel, Failure, SendPurpose, message::Content};
use prometheus::{IntCounterVec, Opts, Registry};
use serde::Serialize;
use serde_json::{Value, json};

pub use butt_dial_store::{ConsentStatus, Refusal};
pub use choices::{Choices, ComplianceChoices};
pub use consent_import::{ConsentImport, InvalidConsent, NewLedgerEntry};
pub use consent_ledger::{ConsentLedger, LedgerEntry, LedgerFormat, LedgerPage, MAX_EXPORT, seal_words, words_context};
pub use consents::{CONSENT_KINDS, ConsentState, Consents, NewConsent};
pub use decision::{Decision, Finding, Verdict, decide};
pub use do_not_contact::{DoNotContact, Import, InvalidRow, NewEntry};
pub use facts::{Facts, RecipientKind, Subject};
pub use history::{ChangedDecision, Replay, ReplayRange, RuleHistory};
pub use place::{Confidence, Place};
pub use rule::{Evaluator, Rule, Severity};
pub use rule_set::{RuleError, RuleSet};

use decision::ShownFinding;
use rules::Observation;

/// The id of the rule about the content, which is code alone.
const CONTENT: &str = "content";
const CONSENT_REVOKED: &str = "consent-revoked";

/// Reads the tables of places and the patterns of contents, which the first decision would do otherwise.
pub fn read_tables() {
    if let Ok(address) = Address::parse(Channel::Sms, "+14155550100") {
        Place::of(&address);
    }
    rules::content::evaluate_text("");
}

/// The choices of an operator about compliance.
#[derive(Clone, Debug)]
pub struct ComplianceSettings {
    /// Beginnings of numbers that are allowed although they are satellite or premium numbers, such as `+8816`.
    pub allowed_destinations: Vec<String>,
    /// The purpose of a message that declares none, unless it is an answer.
    pub undeclared_purpose: SendPurpose,
    /// True if the carriers are simulated.
    pub simulated_world: bool,
    pub disclosure: Disclosure,
}

/// Whether the first message to a person says that an AI assistant writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disclosure {
    /// For all organizations.
    Always,
    /// Unless an organization chooses otherwise.
    Default(bool),
}

impl Disclosure {
    /// Returns whether it applies to an organization with this choice.
    pub fn applies(self, choice: Option<bool>) -> bool {
        match self {
            Self::Always => true,
            Self::Default(default) => choice.unwrap_or(default),
        }
    }
}

/// A decision with the facts and the rule set that it was made from.
#[derive(Clone, Debug)]
pub struct Ruling {
    pub decision: Decision,
    pub facts: Facts,
    pub rule_set: Arc<RuleSet>,
}

/// A decision as it is stored, in JSON. The replay of history reads it again.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    rule_set: &'a str,
    /// Without the content, which is not stored.
    verdict: &'static str,
    findings: Vec<RecordedFinding<'a>>,
    facts: &'a Facts,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RecordedFinding<'a> {
    /// The reason of a refusal that no rule has found.
    Reason(&'a Value),
    Rule(ShownFinding<'a>),
}

impl Ruling {
    /// Returns the record that is stored with a message. Contains no address.
    pub fn record(&self) -> String {
        self.record_with(None)
    }

    /// Returns the record that is stored with a refusal. It begins with the reason of the refusal, which may be the content.
    pub fn refusal_record(&self, refusal: &Failure) -> String {
        let why = refusal.details.get("why");
        let is_known = why.is_none_or(|why| Some(why["rule"].as_str()) == Some(self.decision.rule()));
        self.record_with(why.filter(|_| !is_known))
    }

    fn record_with(&self, first: Option<&Value>) -> String {
        let findings = self.decision.findings.iter().map(Finding::shown);
        let record = Record {
            rule_set: self.rule_set.version(),
            verdict: self.decision.label(),
            findings: first
                .map(RecordedFinding::Reason)
                .into_iter()
                .chain(findings.map(RecordedFinding::Rule))
                .collect(),
            facts: &self.facts,
        };
        // Consists of strings, numbers and lists of them, so serialization cannot fail.
        serde_json::to_string(&record).unwrap_or_default()
    }
}

/// Applies decisions for agents and counts verdicts. Cheap to clone.
#[derive(Clone)]
pub struct Compliance {
    verdicts: IntCounterVec,
    settings: Arc<ComplianceSettings>,
    rule_set: Arc<RuleSet>,
}

impl Compliance {
    /// Registers the metrics of compliance.
    pub fn register(
        registry: &Registry,
        settings: ComplianceSettings,
        rule_set: Arc<RuleSet>,
    ) -> Result<Self, prometheus::Error> {
        let opts = Opts::new("bd_compliance_verdicts_total", "Verdicts of the compliance stage.");
        let verdicts = IntCounterVec::new(opts, &["verdict", "rule"])?;
        registry.register(Box::new(verdicts.clone()))?;
        Ok(Self {
            verdicts,
            settings: settings.into(),
            rule_set,
        })
    }

    pub fn rule_set(&self) -> &Arc<RuleSet> {
        &self.rule_set
    }

    /// Decides on the recipient and the time of a message, without effect.
    pub fn decide(&self, subject: &Subject<'_>) -> Ruling {
        let settings = &self.settings;
        let facts = Facts::collect(subject, settings);
        Ruling {
            decision: decide(&self.rule_set, &facts),
            facts,
            rule_set: self.rule_set.clone(),
        }
    }

    /// Returns why the ruling refuses the message, and counts the refusal.
    pub fn refusal(&self, agent: &AgentId, ruling: &Ruling) -> Option<Failure> {
        let block = ruling.decision.block()?;
        self.count(ruling.decision.label(), &block.rule.id);
        tracing::info!(%agent, rule = &*block.rule.id, channel = %ruling.facts.channel, "compliance block");
        let why = why(block.view(), self.rule_set.version());
        Some(failure(
            block.code,
            ruling.facts.channel,
            &block.rule.id,
            &block.fact,
            &block.remedy,
            why,
        ))
    }

    /// Returns why a message is refused that cannot wait, for its allowed time or for an approval, and counts the refusal.
    pub fn refuse_waiting(&self, agent: &AgentId, ruling: &Ruling) -> Option<Failure> {
        let finding = ruling.decision.findings.first()?;
        let at = match ruling.decision.verdict {
            Verdict::Defer(at) => Some(at),
            Verdict::Hold => None,
            Verdict::Allow | Verdict::Advise | Verdict::Block => return None,
        };
        self.count("block", &finding.rule.id);
        tracing::info!(%agent, rule = &*finding.rule.id, channel = %ruling.facts.channel, "compliance block");
        let mut why = why(finding.view(), self.rule_set.version());
        if let Some(at) = at {
            why["allowedAt"] = json!(at);
        }
        Some(failure(
            finding.code,
            ruling.facts.channel,
            &finding.rule.id,
            &finding.fact,
            &finding.remedy,
            why,
        ))
    }

    /// Checks the content of a message after its recipient is allowed, and counts the verdict of all.
    pub fn check_content(&self, agent: &AgentId, content: &Content, ruling: &Ruling) -> Result<(), Failure> {
        match rules::content::evaluate(content) {
            Some(observation) => Err(self.refuse_observed(agent, ruling.facts.channel, CONTENT, observation)),
            None => {
                let decision = &ruling.decision;
                self.count(decision.label(), decision.rule().unwrap_or("none"));
                Ok(())
            }
        }
    }

    /// Checks a text that is spoken or shown besides a message, such as the name of a requester, with the content filter.
    pub fn check_text(&self, agent: &AgentId, channel: Channel, text: &str) -> Result<(), Failure> {
        match rules::content::evaluate_text(text) {
            Some(observation) => Err(self.refuse_observed(agent, channel, CONTENT, observation)),
            None => Ok(()),
        }
    }

    /// Returns what the content filter finds, without effect.
    pub fn find_blocked_content(&self, content: &Content) -> Option<Value> {
        let found = rules::content::evaluate(content)?;
        Some(content_view(&found))
    }

    /// Returns the refusal of a contact that opted out after the rules were applied.
    pub fn refuse_opted_out(&self, agent: &AgentId, channel: Channel) -> Failure {
        self.refuse_observed(agent, channel, CONSENT_REVOKED, rules::consent_revoked::opted_out())
    }

    fn refuse_observed(&self, agent: &AgentId, channel: Channel, rule: &str, found: Observation) -> Failure {
        self.count("block", rule);
        tracing::info!(%agent, rule, %channel, "compliance block");
        let mut view = content_view(&found);
        view["rule"] = json!(rule);
        let why = why(view, self.rule_set.version());
        failure(found.code, channel, rule, &found.fact, &found.remedy, why)
    }

    fn count(&self, verdict: &str, rule: &str) {
        self.verdicts.with_label_values(&[verdict, rule]).inc();
    }
}

fn content_view(found: &Observation) -> Value {
    json!({"rule": CONTENT, "severity": "block", "fact": found.fact, "remedy": found.remedy})
}

/// The explanation of a refusal. All refusals by rules have this shape.
fn why(mut finding: Value, rule_set: &str) -> Value {
    finding["ruleSet"] = json!(rule_set);
    finding
}

fn failure(
    code: butt_dial_domain::Code,
    channel: Channel,
    rule: &str,
    fact: &str,
    remedy: &str,
    why: Value,
) -> Failure {
    Failure::new(code, fact.to_owned())
        .on(channel)
        .hint(remedy.to_owned())
        .detail("rule", rule)
        .detail("why", why)
}

#[cfg(test)]
mod tests;
