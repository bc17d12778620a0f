//! Many people opt out of the messages of an organization.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{baseline::as_float, finding::Finding, setting::Setting};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Opt-outs per message.
    pub rate: f64,
    /// Opt-outs. Fewer prove nothing.
    pub min: i64,
}

/// Opt-outs of an organization since the beginning of yesterday, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    pub opt_outs: i64,
    pub sent: i64,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limits = &setting.parameters;
    let rate = as_float(facts.opt_outs) / as_float(facts.sent.max(1));
    (facts.opt_outs >= limits.min && rate > limits.rate).then(|| {
        setting.finding(
            format!(
                "{} people opted out of {} messages since yesterday ({:.1} %); the limit is {:.1} %",
                facts.opt_outs,
                facts.sent,
                100.0 * rate,
                100.0 * limits.rate
            ),
            json!({ "optOuts": facts.opt_outs, "sent": facts.sent, "rate": rate, "limit": limits.rate }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters as All;

    fn trips(opt_outs: i64, sent: i64) -> bool {
        detect(&All::built_in().unwrap().opt_outs, &Facts { opt_outs, sent }).is_some()
    }

    #[test]
    fn more_than_two_percent_trip() {
        assert!(trips(30, 1_000));
        assert!(trips(21, 1_000));
    }

    #[test]
    fn usual_opt_outs_do_not_trip() {
        assert!(!trips(20, 1_000), "two percent are not more than two percent");
        assert!(!trips(60, 20_000), "a large campaign");
        assert!(!trips(2, 10), "a new organization with its first contacts");
    }
}
