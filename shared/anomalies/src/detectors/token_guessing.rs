//! Many requests with unknown tokens, from one or many addresses.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Unknown tokens within ten minutes.
    pub failures: i64,
    /// Locked addresses, networks and beginnings of tokens within ten minutes.
    pub lockouts: i64,
}

/// Requests with unknown tokens at the whole installation, within five to ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub failures: i64,
    pub lockouts: i64,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limits = &setting.parameters;
    (facts.failures >= limits.failures || facts.lockouts >= limits.lockouts).then(|| {
        setting.finding(
            format!(
                "{} requests with unknown tokens came within 10 minutes, and {} of their sources were locked out",
                facts.failures, facts.lockouts
            ),
            json!({
                "failures": facts.failures, "lockouts": facts.lockouts, "failureLimit": limits.failures,
                "lockoutLimit": limits.lockouts, "windowMinutes": 10,
            }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters as All;

    fn trips(failures: i64, lockouts: i64) -> bool {
        detect(&All::built_in().unwrap().token_guessing, &Facts { failures, lockouts }).is_some()
    }

    #[test]
    fn guesses_of_one_and_of_many_addresses_trip() {
        // One address is locked after ten guesses and continues from the next one.
        assert!(trips(50, 5));
        // A thousand addresses guess once or twice, so that none is locked.
        assert!(trips(1_500, 0));
    }

    #[test]
    fn forgotten_token_of_a_client_does_not_trip() {
        // Monday morning: one client has an old token, and is locked out once.
        assert!(!trips(10, 1));
        // A rolling update: some clients use replaced tokens for a minute.
        assert!(!trips(40, 2));
    }
}
