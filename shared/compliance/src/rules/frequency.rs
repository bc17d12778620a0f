//! How many marketing messages one person may get within 24 hours.

use butt_dial_domain::Code;

use super::Observation;
use crate::{facts::Facts, rule::Rule};

pub fn evaluate(rule: &Rule, facts: &Facts) -> Option<Observation> {
    let max = rule.max_per_day?;
    (facts.marketing_sent >= max && !facts.is_colleague).then(|| {
        Observation::new(
            Code::FrequencyCap,
            format!(
                "this contact has had {} marketing messages within 24 hours; {max} are allowed",
                facts.marketing_sent
            ),
            "wait until a day has passed since the first one",
        )
    })
}
