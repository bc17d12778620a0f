//! A sudden share of messages that fail: a broken sender, a blocked account, or a list of invalid numbers.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{baseline::as_float, finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Failed messages within fifteen minutes.
    pub min_failed: i64,
    /// Their share.
    pub min_rate: f64,
    /// Times the usual share.
    pub ratio: f64,
}

/// Messages of an agent within fifteen minutes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    pub sent: i64,
    pub failed: i64,
    /// The usual share of failed messages, from 0 to 1.
    pub usual_rate: f64,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limits = &setting.parameters;
    let rate = as_float(facts.failed) / as_float(facts.sent.max(1));
    let is_sudden = rate >= limits.min_rate && rate >= limits.ratio * facts.usual_rate;
    (facts.failed >= limits.min_failed && is_sudden).then(|| {
        setting.finding(
            format!(
                "{} of {} messages failed within 15 minutes ({:.0} %); {:.0} % are usual",
                facts.failed,
                facts.sent,
                100.0 * rate,
                100.0 * facts.usual_rate
            ),
            json!({
                "failed": facts.failed, "sent": facts.sent, "rate": rate, "usualRate": facts.usual_rate,
                "windowMinutes": 15,
            }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters as All;

    fn trips(sent: i64, failed: i64, usual_rate: f64) -> bool {
        let facts = Facts {
            sent,
            failed,
            usual_rate,
        };
        detect(&All::built_in().unwrap().failure_rate, &facts).is_some()
    }

    #[test]
    fn blocked_sender_trips() {
        // The carrier blocks a sender in the middle of the morning.
        let trace = [(60, 1), (60, 2), (60, 45), (60, 60)];
        let found: Vec<bool> = trace.iter().map(|(sent, failed)| trips(*sent, *failed, 0.02)).collect();
        assert_eq!(found, [false, false, true, true]);
    }

    #[test]
    fn usual_failures_do_not_trip() {
        assert!(!trips(2_000, 60, 0.03), "a large campaign with its usual bounces");
        assert!(!trips(100, 40, 0.35), "an agent that cleans a list");
        assert!(!trips(4, 4, 0.0), "a handful of mistakes");
    }
}
