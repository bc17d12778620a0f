//! What the compliance stage says of a message: one verdict, and the rule that gave it.

use serde::{Deserialize, Serialize};

use crate::{Code, clock::Timestamp};

/// Version of the rules; stored with each verdict so that a decision can be replayed.
pub const RULES_VERSION: &str = "2026-11-22";

/// Ordered from mild to severe: the most severe verdict of all rules counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "verdict")]
pub enum Verdict {
    Allow,
    /// Sent, and the caller is told.
    Advise {
        rule: String,
        advice: String,
    },
    /// Not now; `until` is the first allowed instant.
    Defer {
        rule: String,
        reason: String,
        until: Timestamp,
    },
    /// Refused, without override.
    Block {
        rule: String,
        reason: String,
    },
}

impl Verdict {
    pub fn rule(&self) -> Option<&str> {
        match self {
            Self::Allow => None,
            Self::Advise { rule, .. } | Self::Defer { rule, .. } | Self::Block { rule, .. } => Some(rule),
        }
    }

    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Advise { .. } => "advise",
            Self::Defer { .. } => "defer",
            Self::Block { .. } => "block",
        }
    }
}

/// A block together with the code that the caller sees for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    pub code: Code,
    pub rule: &'static str,
    pub reason: String,
}
