//! Rapid replacement of tokens, as by an intruder that keeps its access.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Replacements within an hour.
    pub rotations: i64,
    /// Replacements per agent of the organization: a planned rotation replaces each token once.
    pub per_agent: i64,
}

/// Replaced tokens of an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Within the last hour.
    pub rotations: i64,
    pub agents: i64,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limits = &setting.parameters;
    let allowed = limits.rotations.max(limits.per_agent * facts.agents);
    (facts.rotations >= allowed).then(|| {
        setting.finding(
            format!(
                "tokens were replaced {} times within an hour; the organization has {} agents",
                facts.rotations, facts.agents
            ),
            json!({ "rotations": facts.rotations, "agents": facts.agents, "limit": allowed, "windowMinutes": 60 }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters as All;

    fn trips(rotations: i64, agents: i64) -> bool {
        detect(&All::built_in().unwrap().token_rotation, &Facts { rotations, agents }).is_some()
    }

    #[test]
    fn tokens_of_few_agents_replaced_again_and_again_trip() {
        assert!(trips(12, 2));
        assert!(trips(90, 20));
    }

    #[test]
    fn planned_rotation_does_not_trip() {
        // Month end: each of two hundred agents gets a new token, some of them twice.
        assert!(!trips(230, 200));
        assert!(!trips(3, 1));
    }
}
