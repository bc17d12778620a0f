//! Money that is spent far faster than usual, so that the budget will soon be used up.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    baseline::{Usual, as_float},
    finding::Finding,
    setting::Setting,
};

/// Minutes of the window.
const WINDOW: f64 = 5.0;

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameters {
    /// Times what is usual.
    pub ratio: f64,
    /// Micro-units within five minutes. Less is never unusual.
    pub floor: i64,
    /// The budget is used up within these minutes, at this rate.
    pub horizon_minutes: f64,
    /// Buckets of five minutes that must be known.
    pub min_samples: i64,
}

/// The spend of an agent or an organization, in micro-units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Facts {
    /// Within the last five minutes.
    pub spent: i64,
    pub usual: Usual,
    /// Of the budget.
    pub used: i64,
    pub cap: i64,
    /// Until the budget is renewed.
    pub minutes_left: f64,
    /// A campaign within its expected volume takes place.
    pub is_announced: bool,
}

pub fn detect(setting: &Setting<Parameters>, facts: &Facts) -> Option<Finding> {
    let limits = &setting.parameters;
    let spent = as_float(facts.spent);
    let is_fast = facts.spent >= limits.floor && spent >= limits.ratio * facts.usual.value;
    if facts.is_announced || facts.usual.samples < limits.min_samples || !is_fast || facts.spent <= 0 {
        return None;
    }
    let minutes = as_float((facts.cap - facts.used).max(0)) / (spent / WINDOW);
    (minutes <= limits.horizon_minutes && minutes < facts.minutes_left).then(|| {
        setting.finding(
            format!(
                "{:.2} were spent within 5 minutes, {:.2} are usual; the budget is used up in {minutes:.0} minutes",
                spent / 1e6,
                facts.usual.value / 1e6,
            ),
            json!({
                "spentMicros": facts.spent, "usualMicros": facts.usual.value, "usedMicros": facts.used,
                "capMicros": facts.cap, "minutesToExhaustion": minutes.round(), "windowMinutes": 5, "ratio": limits.ratio,
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

    const DAY: usize = 288;
    /// Micro-units of a message.
    const PRICE: i64 = 8_000;

    /// Runs a trace of messages against a budget per day. Returns the buckets that trip.
    fn trips(trace: &Trace, cap: i64) -> Vec<usize> {
        let setting = All::built_in().unwrap().spend_rate;
        let mut used = 0;
        let mut found = Vec::new();
        for (n, sent, usual) in trace.values() {
            if n % DAY == 0 {
                used = 0;
            }
            used += sent * PRICE;
            let facts = Facts {
                spent: sent * PRICE,
                usual: Usual {
                    value: usual.value * as_float(PRICE),
                    ..usual
                },
                used,
                cap,
                minutes_left: as_float(i64::try_from(DAY - n % DAY).unwrap()) * 5.0,
                is_announced: false,
            };
            if detect(&setting, &facts).is_some() {
                found.push(n);
            }
        }
        found
    }

    #[test]
    fn fast_spend_that_exhausts_the_budget_trips() {
        let mut trace = Trace::office_hours(4, 20);
        let start = 3 * WEEK + 120;
        for n in 0..6 {
            trace.add(start + n, 1_000);
        }
        assert_eq!(trips(&trace, 100_000_000).first(), Some(&start));
    }

    #[test]
    fn fast_spend_within_a_large_budget_does_not_trip() {
        let mut trace = Trace::office_hours(4, 20);
        trace.add(3 * WEEK + 120, 1_000);
        assert_eq!(trips(&trace, 100_000_000_000), Vec::<usize>::new());
    }

    #[test]
    fn month_end_and_evening_do_not_trip() {
        // Three times the usual messages use up most of the budget, but at no unusual rate.
        let mut trace = Trace::office_hours(5, 100);
        trace.multiply(4 * WEEK..5 * WEEK, 3);
        assert_eq!(trips(&trace, 250_000_000), Vec::<usize>::new());
    }

    #[test]
    fn new_organization_that_grows_does_not_trip() {
        assert_eq!(trips(&Trace::growing(4, 1.15), 50_000_000), Vec::<usize>::new());
    }
}
