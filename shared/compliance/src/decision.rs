//! The decision on a message: what the rules found, and what follows.

use std::{borrow::Cow, sync::Arc};

use butt_dial_domain::{Code, clock::Timestamp};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    facts::Facts,
    rule::{Evaluator, Rule, Severity},
    rule_set::RuleSet,
    rules::Observation,
};

/// A message is deferred by at most this many changes between open and closed hours of its rules.
const MAX_STEPS: usize = 64;

/// The consequence for the message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Verdict {
    #[default]
    Allow,
    Advise,
    /// The message may be sent at this time.
    Defer(Timestamp),
    /// A person has to approve the message.
    Hold,
    Block,
}

/// A rule that fired, with the fact that it fired on.
#[derive(Clone, Debug)]
pub struct Finding {
    pub rule: Arc<Rule>,
    pub severity: Severity,
    pub code: Code,
    pub fact: Cow<'static, str>,
    pub remedy: Cow<'static, str>,
}

impl Finding {
    /// Returns the finding as it is shown and stored. Contains no address.
    pub fn view(&self) -> Value {
        json!(self.shown())
    }

    /// Returns the finding as it is shown and stored, without copies: each send stores its findings.
    pub(crate) fn shown(&self) -> ShownFinding<'_> {
        ShownFinding {
            fact: &self.fact,
            remedy: &self.remedy,
            rule: &self.rule.id,
            rule_version: self.rule.version,
            severity: self.severity.into(),
            source: &self.rule.source,
        }
    }
}

/// A finding in the order of the names, as in the form of `view`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownFinding<'a> {
    fact: &'a str,
    remedy: &'a str,
    rule: &'a str,
    rule_version: u32,
    severity: &'static str,
    source: &'a str,
}

/// The verdict with all findings, the most severe first.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    pub verdict: Verdict,
    pub findings: Vec<Finding>,
}

impl Decision {
    /// The verdict as it is stored and counted.
    pub fn label(&self) -> &'static str {
        self.verdict.into()
    }

    /// The rule that the verdict comes from.
    pub fn rule(&self) -> Option<&str> {
        let decisive = self
            .findings
            .first()
            .filter(|finding| finding.severity > Severity::Insert);
        decisive.map(|finding| &*finding.rule.id)
    }

    /// The finding that blocks the message.
    pub fn block(&self) -> Option<&Finding> {
        self.findings.first().filter(|_| self.verdict == Verdict::Block)
    }

    /// The advice for the caller.
    pub fn advice(&self) -> impl Iterator<Item = &Finding> {
        self.findings
            .iter()
            .filter(|finding| finding.severity > Severity::Insert && finding.severity < Severity::Block)
    }

    /// Returns whether the message gets the disclosure that an AI assistant writes.
    pub fn inserts_disclosure(&self) -> bool {
        let is_disclosure = |finding: &Finding| finding.rule.evaluator == Evaluator::Disclosure;
        self.findings.iter().any(is_disclosure)
    }
}

/// Decides on a message. Pure: the same rules and facts give the same decision. Every rule that applies is evaluated; the most
/// severe finding decides.
pub fn decide(rules: &RuleSet, facts: &Facts) -> Decision {
    let mut findings = Vec::new();
    for rule in rules.rules() {
        let Some(severity) = rule.severity_for(facts) else {
            continue;
        };
        if let Some(observation) = rule.evaluate(facts) {
            findings.push(finding(rule, severity, observation));
        }
    }
    if facts.is_restrained && !facts.is_approved && !facts.is_colleague {
        findings.push(finding(rules.restraint(), Severity::Hold, restrained()));
    }
    if facts.is_tainted && !facts.is_approved && !facts.is_colleague {
        findings.push(finding(rules.taint(), Severity::Hold, tainted()));
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let verdict = match findings.first().map(|finding| finding.severity) {
        None | Some(Severity::Insert) => Verdict::Allow,
        Some(Severity::Advise) => Verdict::Advise,
        Some(Severity::Block) => Verdict::Block,
        Some(Severity::Hold) => Verdict::Hold,
        Some(Severity::Defer) => match allowed_at(&findings, facts) {
            Some(at) => Verdict::Defer(at),
            None => Verdict::Block,
        },
    };
    Decision { verdict, findings }
}

fn restrained() -> Observation {
    Observation::new(
        Code::ApprovalRequired,
        "unusual traffic of this agent was noticed: its messages need the approval of a person for a time",
        "wait until an administrator has approved the message (comms_decide_approval) or dismissed the anomaly",
    )
}

fn tainted() -> Observation {
    Observation::new(
        Code::ApprovalRequired,
        "this agent has read a text that resembles instructions to it: its messages need the approval of a person for 15 minutes",
        "wait until an administrator has approved the message (comms_decide_approval), or send it later",
    )
}

fn finding(rule: &Arc<Rule>, severity: Severity, observation: Observation) -> Finding {
    Finding {
        rule: rule.clone(),
        severity,
        code: observation.code,
        fact: observation.fact,
        remedy: observation.remedy,
    }
}

/// Returns the earliest time at which none of the rules that defer the message fires. `None`: there is none within days.
fn allowed_at(findings: &[Finding], facts: &Facts) -> Option<Timestamp> {
    let deferring = findings.iter().filter(|finding| finding.severity == Severity::Defer);
    let rules: Vec<_> = deferring.map(|finding| &*finding.rule).collect();
    let mut at = facts.at;
    for _ in 0..MAX_STEPS {
        let next = crate::rules::quiet_hours::next_opening(&rules, &facts.place, at)?;
        if next == at {
            return Some(at);
        }
        at = next;
    }
    None
}
