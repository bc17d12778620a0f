//! Far more calls of an agent within five minutes than usual, in either direction.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    baseline::{Usual, as_float},
    finding::Finding,
    setting::Setting,
};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Times what is usual.
    pub ratio: f64,
    /// Calls within five minutes. Fewer are never a burst.
    pub floor: i64,
    /// This many calls are a burst also while nothing is known of the agent.
    pub ceiling: i64,
    /// Buckets of five minutes that must be known.
    pub min_samples: i64,
}

/// Calls of an agent in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// `inbound` or `outbound`.
    pub direction: &'static str,
    /// Within the last five minutes.
    pub calls: i64,
    pub usual: Usual,
    pub is_announced: bool,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limits = &setting.parameters;
    let floor = match facts.usual.samples >= limits.min_samples {
        true => limits.floor,
        false => limits.ceiling,
    };
    let is_burst = facts.calls >= floor && as_float(facts.calls) >= limits.ratio * facts.usual.value;
    (is_burst && !facts.is_announced).then(|| {
        setting.finding(
            format!(
                "{} {} calls began within 5 minutes; {:.1} are usual at this time",
                facts.calls, facts.direction, facts.usual.value
            ),
            json!({
                "direction": facts.direction, "calls": facts.calls, "usual": facts.usual.value, "ratio": limits.ratio,
                "floor": floor, "windowMinutes": 5,
            }),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        parameters::Parameters as All,
        tests::traces::{Trace, WEEK},
    };

    fn trips(trace: &Trace, is_announced: bool) -> Vec<usize> {
        let setting = All::built_in().unwrap().call_burst;
        let bursts = trace.values().filter(|(_, calls, usual)| {
            let facts = Facts {
                direction: "outbound",
                calls: *calls,
                usual: *usual,
                is_announced,
            };
            detect(&setting, &facts).is_some()
        });
        bursts.map(|(n, ..)| n).collect()
    }

    #[test]
    fn burst_of_calls_trips() {
        let mut trace = Trace::office_hours(4, 2);
        trace.add(3 * WEEK + 150, 60);
        assert_eq!(trips(&trace, false), [3 * WEEK + 150]);
        assert_eq!(trips(&trace, true), Vec::<usize>::new(), "announced");
        let mut unknown = Trace::default();
        unknown.add(0, 500);
        assert_eq!(trips(&unknown, false), [0], "an unknown agent");
    }

    #[test]
    fn call_center_on_monday_and_at_month_end_does_not_trip() {
        let mut trace = Trace::office_hours(5, 40);
        trace.multiply(4 * WEEK..5 * WEEK, 3);
        assert_eq!(trips(&trace, false), Vec::<usize>::new());
    }
}
