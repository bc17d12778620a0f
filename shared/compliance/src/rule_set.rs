//! The rules in force, with the version of their text.

use std::{path::Path, sync::Arc};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use strum::IntoEnumIterator;

use crate::rule::{Evaluator, Rule};

/// The rules that the program comes with, in the order of the names, as `read` takes them: the version depends on it.
const BUILT_IN: &[(&str, &str)] = &[
    ("consent.toml", include_str!("../../../deploy/rules/consent.toml")),
    ("core.toml", include_str!("../../../deploy/rules/core.toml")),
    ("disclosure.toml", include_str!("../../../deploy/rules/disclosure.toml")),
    ("email.toml", include_str!("../../../deploy/rules/email.toml")),
    (
        "quiet_hours.toml",
        include_str!("../../../deploy/rules/quiet_hours.toml"),
    ),
];

/// The rule that holds the messages of a restrained agent, whatever the rules of the operator are.
const RESTRAINT: &str = r#"id = "restrained-agent"
version = 1
evaluator = "always"
severity = "hold"
source = "the anomaly detectors of this installation"
reviewed = 2026-11-29"#;

/// The rule that holds the messages of an agent that has read a text that resembles instructions, if its organization wants it.
const TAINT: &str = r#"id = "tainted-agent"
version = 1
evaluator = "always"
severity = "hold"
source = "the choice of the organization about texts that resemble instructions"
reviewed = 2026-11-30"#;

/// Characters of the version: enough to tell rule sets apart.
const VERSION: usize = 12;

/// Why a rule set cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct RuleError {
    file: String,
    reason: String,
}

/// A set of rules, in the order of their evaluation: those that block before those that defer and advise.
#[derive(Debug)]
pub struct RuleSet {
    version: String,
    rules: Vec<Arc<Rule>>,
    restraint: Arc<Rule>,
    taint: Arc<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    rule: Vec<Rule>,
}

impl RuleSet {
    /// Returns the rules that the program comes with.
    pub fn built_in() -> Result<Self, RuleError> {
        Self::parse(BUILT_IN.iter().copied())
    }

    /// Reads all files `*.toml` of a directory. Fails if a file cannot be read, a rule is invalid, an id is used twice, or a
    /// rule that protects people is missing.
    pub fn read(directory: &Path) -> Result<Self, RuleError> {
        let fail = |file: &Path, reason: String| RuleError {
            file: file.display().to_string(),
            reason,
        };
        let entries = std::fs::read_dir(directory).map_err(|error| fail(directory, error.to_string()))?;
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| fail(directory, error.to_string()))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path).map_err(|error| fail(&path, error.to_string()))?;
                files.push((path.display().to_string(), text));
            }
        }
        files.sort();
        Self::parse(files.iter().map(|(name, text)| (name.as_str(), text.as_str())))
    }

    /// Parses the text of one file with all rules.
    pub fn parse_text(text: &str) -> Result<Self, RuleError> {
        Self::parse([("rules", text)].into_iter())
    }

    fn parse<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, RuleError> {
        let (mut rules, mut hash) = (Vec::<Arc<Rule>>::new(), Sha256::new());
        for (file, text) in files {
            hash.update(text);
            let fail = |reason: String| RuleError {
                file: file.to_owned(),
                reason,
            };
            let parsed: RuleFile = toml::from_str(text).map_err(|error| fail(error.to_string()))?;
            for rule in parsed.rule {
                let rule = rule.prepare().map_err(fail)?;
                if rules.iter().any(|other| other.id == rule.id) {
                    return Err(fail(format!("rule {} is there twice", rule.id)));
                }
                rules.push(Arc::new(rule));
            }
        }
        for evaluator in Evaluator::iter().filter(|one| Evaluator::MANDATORY.contains(one)) {
            if !rules.iter().any(|rule| rule.evaluator == evaluator) {
                let name: &str = evaluator.into();
                return Err(RuleError {
                    file: "rule set".into(),
                    reason: format!("a rule with evaluator = {name:?} is required: it protects people"),
                });
            }
        }
        rules.sort_by_key(|rule| std::cmp::Reverse(rule.severity));
        let mut version = hex::encode(hash.finalize());
        version.truncate(VERSION);
        Ok(Self {
            version,
            rules,
            restraint: built_in_rule(RESTRAINT)?,
            taint: built_in_rule(TAINT)?,
        })
    }

    #[cfg(test)]
    pub(crate) fn without(&self, id: &str) -> Self {
        Self {
            version: self.version.clone(),
            rules: self.rules.iter().filter(|rule| &*rule.id != id).cloned().collect(),
            restraint: self.restraint.clone(),
            taint: self.taint.clone(),
        }
    }

    /// Returns the beginning of the hash over the text of the rules, in hexadecimal digits.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The rule that holds the messages of a restrained agent.
    pub(crate) fn restraint(&self) -> &Arc<Rule> {
        &self.restraint
    }

    /// The rule that holds the messages of an agent that has read a text that resembles instructions.
    pub(crate) fn taint(&self) -> &Arc<Rule> {
        &self.taint
    }
}

fn built_in_rule(text: &str) -> Result<Arc<Rule>, RuleError> {
    let rule = toml::from_str::<Rule>(text).map_err(|error| error.to_string());
    let prepared = rule.and_then(Rule::prepare).map_err(|reason| RuleError {
        file: "built-in rules".into(),
        reason,
    })?;
    Ok(Arc::new(prepared))
}
