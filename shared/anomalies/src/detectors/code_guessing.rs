//! Guessed one-time codes: many codes with used-up tries.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{baseline::as_float, finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Codes with used-up tries within an hour.
    pub exhausted: i64,
    /// Their share of all codes.
    pub min_share: f64,
}

/// One-time codes of an agent or an organization within an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub sent: i64,
    pub confirmed: i64,
    /// Not confirmed, and their tries are used up.
    pub exhausted: i64,
    /// Tries with a wrong code.
    pub wrong: i64,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limits = &setting.parameters;
    let is_frequent = as_float(facts.exhausted) >= limits.min_share * as_float(facts.sent);
    (facts.exhausted >= limits.exhausted && is_frequent).then(|| {
        setting.finding(
            format!(
                "the tries of {} of {} one-time codes were used up within an hour, with {} wrong codes",
                facts.exhausted, facts.sent, facts.wrong
            ),
            json!({
                "exhausted": facts.exhausted, "sent": facts.sent, "confirmed": facts.confirmed, "wrong": facts.wrong,
                "limit": limits.exhausted, "windowMinutes": 60,
            }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters as All;

    fn trips(sent: i64, confirmed: i64, exhausted: i64) -> bool {
        let facts = Facts {
            sent,
            confirmed,
            exhausted,
            wrong: exhausted * 5,
        };
        detect(&All::built_in().unwrap().code_guessing, &facts).is_some()
    }

    #[test]
    fn exhausted_codes_of_a_guesser_trip() {
        // A guesser asks for a new code after each five tries.
        assert!(trips(10, 0, 10));
        assert!(trips(60, 40, 20));
    }

    #[test]
    fn typing_errors_of_many_people_do_not_trip() {
        // Monday morning: thousands sign in, and some give up.
        assert!(!trips(5_000, 4_700, 25));
        assert!(!trips(4, 2, 2));
    }
}
