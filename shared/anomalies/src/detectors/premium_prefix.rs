//! Repeated attempts of an agent to reach premium or satellite numbers, which rules refuse.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Refused attempts within an hour.
    pub attempts: i64,
}

/// Refused messages and calls of an agent to premium and satellite numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Within the last hour.
    pub attempts: i64,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limit = setting.parameters.attempts;
    (facts.attempts >= limit).then(|| {
        setting.finding(
            format!(
                "{} attempts to reach premium or satellite numbers were refused within an hour",
                facts.attempts
            ),
            json!({ "attempts": facts.attempts, "limit": limit, "windowMinutes": 60 }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters as All;

    #[test]
    fn series_of_attempts_trips_and_a_mistake_does_not() {
        let setting = All::built_in().unwrap().premium_prefix;
        // Someone dials a list of premium numbers, one every minute.
        let first = (0..60).find(|&attempts| detect(&setting, &Facts { attempts }).is_some());
        assert_eq!(first, Some(setting.parameters.attempts));
        assert!(
            detect(&setting, &Facts { attempts: 2 }).is_none(),
            "a wrong number and its repetition"
        );
    }
}
