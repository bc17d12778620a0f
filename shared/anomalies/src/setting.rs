//! The settings that all detectors have.

use butt_dial_store::{Reaction, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::finding::Finding;

/// The settings of a detector.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setting<P> {
    pub enabled: bool,
    pub severity: Severity,
    pub reaction: Reaction,
    pub parameters: P,
}

impl<P> Setting<P> {
    /// Builds a finding with this severity and reaction.
    pub fn finding(&self, explanation: String, numbers: Value) -> Finding {
        Finding {
            severity: self.severity,
            reaction: self.reaction,
            explanation,
            numbers,
        }
    }
}
