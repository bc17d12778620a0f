//! Many failed sign-ins to the console.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Failed sign-ins within ten minutes.
    pub failures: i64,
}

/// Failed sign-ins at the whole installation, within five to ten minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub failures: i64,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limit = setting.parameters.failures;
    (facts.failures >= limit).then(|| {
        setting.finding(
            format!("{} sign-ins to the console failed within 10 minutes", facts.failures),
            json!({ "failures": facts.failures, "limit": limit, "windowMinutes": 10 }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters as All;

    #[test]
    fn guesses_trip_and_typing_errors_do_not() {
        let setting = All::built_in().unwrap().sign_in_guessing;
        let trips = |failures| detect(&setting, &Facts { failures }).is_some();
        // A list of passwords, from many addresses.
        assert!(trips(200));
        // Monday morning: a team has new passwords.
        assert!(!trips(12));
    }
}
