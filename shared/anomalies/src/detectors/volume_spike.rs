//! Far more messages within five minutes than usual at this time: both a ratio and an absolute number.

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
    /// Messages within five minutes. Fewer are never a spike.
    pub floor: i64,
    /// Buckets of five minutes that must be known.
    pub min_samples: i64,
}

/// Messages of an agent or an organization.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// Within the last five minutes.
    pub sent: i64,
    pub usual: Usual,
    /// A campaign within its expected volume takes place.
    pub is_announced: bool,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limits = &setting.parameters;
    let usual = facts.usual;
    let is_known = usual.samples >= limits.min_samples;
    let is_spike = facts.sent >= limits.floor && as_float(facts.sent) >= limits.ratio * usual.value;
    (is_known && is_spike && !facts.is_announced).then(|| {
        setting.finding(
            format!(
                "{} messages were sent within 5 minutes; {:.1} are usual at this time",
                facts.sent, usual.value
            ),
            json!({
                "sent": facts.sent, "usual": usual.value, "ratio": limits.ratio, "floor": limits.floor, "windowMinutes": 5,
                "samples": usual.samples,
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
        let setting = All::built_in().unwrap().volume_spike;
        let spikes = trace.values().filter(|(_, value, usual)| {
            let facts = Facts {
                sent: *value,
                usual: *usual,
                is_announced,
            };
            detect(&setting, &facts).is_some()
        });
        spikes.map(|(n, ..)| n).collect()
    }

    #[test]
    fn sudden_volume_trips_with_its_numbers() {
        let mut trace = Trace::office_hours(4, 20);
        let spike = 3 * WEEK + WEEK / 4;
        trace.add(spike, 400);
        assert_eq!(trips(&trace, false), [spike]);
        let setting = All::built_in().unwrap().volume_spike;
        let facts = Facts {
            sent: 400,
            usual: Usual {
                value: 20.0,
                samples: 5_000,
            },
            is_announced: false,
        };
        let found = detect(&setting, &facts).unwrap();
        assert_eq!(
            (&found.numbers["sent"], &found.numbers["usual"]),
            (&json!(400), &json!(20.0))
        );
        assert!(
            found.explanation.contains("400 messages") && found.explanation.contains("20.0"),
            "{found:?}"
        );
    }

    #[test]
    fn spike_at_night_trips() {
        let mut trace = Trace::office_hours(4, 20);
        // Wednesday of the last week, three in the morning.
        let night = 3 * WEEK + 2 * 288 + 36;
        trace.add(night, 150);
        assert_eq!(trips(&trace, false), [night]);
    }

    #[test]
    fn monday_morning_is_usual() {
        assert_eq!(trips(&Trace::office_hours(5, 300), false), Vec::<usize>::new());
    }

    #[test]
    fn announced_campaign_does_not_trip() {
        let mut trace = Trace::office_hours(4, 20);
        for n in 0..12 {
            trace.add(3 * WEEK + 400 + n, 2_000);
        }
        assert!(!trips(&trace, false).is_empty());
        assert_eq!(trips(&trace, true), Vec::<usize>::new());
    }

    #[test]
    fn new_organization_that_grows_does_not_trip() {
        assert_eq!(trips(&Trace::growing(4, 1.15), false), Vec::<usize>::new());
    }

    #[test]
    fn month_end_does_not_trip() {
        let mut trace = Trace::office_hours(5, 100);
        trace.multiply(4 * WEEK..5 * WEEK, 3);
        assert_eq!(trips(&trace, false), Vec::<usize>::new());
    }
}
