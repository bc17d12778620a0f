//! Messages to a country that an organization with some history has never sent to.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Messages within five minutes. Fewer are tests and mistakes.
    pub min_sent: i64,
    /// The organization has sent for this long.
    pub history_hours: i64,
    /// A country is new for this long.
    pub new_hours: i64,
}

/// Messages of an organization to one country.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// ISO 3166.
    pub country: String,
    /// Within the last five minutes.
    pub sent: i64,
    /// Since the first message to this country.
    pub known_hours: i64,
    /// Since the first message to any country.
    pub history_hours: i64,
    pub known_countries: usize,
    pub is_announced: bool,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limits = &setting.parameters;
    let is_new =
        facts.known_hours < limits.new_hours && facts.history_hours - facts.known_hours >= limits.history_hours;
    (is_new && facts.sent >= limits.min_sent && !facts.is_announced).then(|| {
        setting.finding(
            format!(
                "{} messages were sent to {} within 5 minutes; the organization has never sent there before",
                facts.sent, facts.country
            ),
            json!({
                "country": facts.country, "sent": facts.sent, "knownCountries": facts.known_countries,
                "hoursSinceFirstMessageThere": facts.known_hours, "hoursSinceFirstMessage": facts.history_hours,
                "windowMinutes": 5,
            }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters as All;

    fn facts(known_hours: i64, history_hours: i64, sent: i64) -> Facts {
        Facts {
            country: "NG".into(),
            sent,
            known_hours,
            history_hours,
            known_countries: 2,
            is_announced: false,
        }
    }

    fn trips(facts: &Facts) -> bool {
        detect(&All::built_in().unwrap().new_country, facts).is_some()
    }

    #[test]
    fn first_messages_to_a_country_trip() {
        let found = detect(&All::built_in().unwrap().new_country, &facts(0, 24 * 60, 40)).unwrap();
        assert_eq!(
            (&found.numbers["country"], &found.numbers["sent"]),
            (&json!("NG"), &json!(40))
        );
        assert!(trips(&facts(5, 24 * 60, 40)), "for some hours");
    }

    #[test]
    fn known_country_and_single_messages_do_not_trip() {
        assert!(!trips(&facts(24 * 30, 24 * 60, 400)));
        assert!(!trips(&facts(0, 24 * 60, 1)), "one traveller");
    }

    #[test]
    fn young_organization_that_expands_does_not_trip() {
        for hours in 0..72 {
            assert!(!trips(&facts(0, hours, 100)), "{hours}");
        }
    }

    #[test]
    fn announced_campaign_abroad_does_not_trip() {
        assert!(!trips(&Facts {
            is_announced: true,
            ..facts(0, 24 * 60, 500)
        }));
    }
}
