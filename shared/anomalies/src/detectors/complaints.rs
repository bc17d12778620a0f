//! Many mails of an organization are reported as spam. Mailbox providers block senders above 0.3 %, and advise to stay below 0.1 %.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{baseline::as_float, finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Complaints per mail.
    pub rate: f64,
    /// Complaints. Fewer prove nothing.
    pub min: i64,
}

/// Complaints about mails of an organization since the beginning of yesterday, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub complaints: i64,
    pub sent: i64,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limits = &setting.parameters;
    let rate = as_float(facts.complaints) / as_float(facts.sent.max(1));
    (facts.complaints >= limits.min && rate > limits.rate).then(|| {
        setting.finding(
            format!(
                "{} of {} mails since yesterday were reported as spam ({:.2} %); the limit is {:.2} %",
                facts.complaints,
                facts.sent,
                100.0 * rate,
                100.0 * limits.rate
            ),
            json!({ "complaints": facts.complaints, "sent": facts.sent, "rate": rate, "limit": limits.rate }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters as All;

    fn trips(complaints: i64, sent: i64) -> bool {
        detect(&All::built_in().unwrap().complaints, &Facts { complaints, sent }).is_some()
    }

    #[test]
    fn more_than_one_in_a_thousand_trips() {
        assert!(trips(4, 3_000));
        assert!(trips(30, 10_000));
    }

    #[test]
    fn single_complaints_do_not_trip() {
        assert!(!trips(1, 50), "one angry person");
        assert!(!trips(10, 10_000), "one in a thousand");
    }
}
