//! Many agents of an organization write to one person: a harassed person, or a task that was handed out twice.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Agents that write to one person within fifteen minutes.
    pub agents: i64,
}

/// Messages to one person within fifteen minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub agents: i64,
    pub sent: i64,
    /// The contact without its address.
    pub contact: String,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limit = setting.parameters.agents;
    (facts.agents >= limit).then(|| {
        setting.finding(
            format!(
                "{} agents sent {} messages to one contact ({}) within 15 minutes",
                facts.agents, facts.sent, facts.contact
            ),
            json!({
                "agents": facts.agents, "sent": facts.sent, "contact": facts.contact, "limit": limit, "windowMinutes": 15,
            }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters as All;

    #[test]
    fn crowd_of_agents_trips_and_a_handover_does_not() {
        let setting = All::built_in().unwrap().shared_contact;
        let trips = |agents, sent| {
            let facts = Facts {
                agents,
                sent,
                contact: "+14*******99".into(),
            };
            detect(&setting, &facts).is_some()
        };
        assert!(trips(8, 9));
        // Sales, support and billing know the same customer.
        assert!(!trips(3, 20));
    }
}
