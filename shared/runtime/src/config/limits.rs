//! The limits of agents without their own.

use butt_dial_domain::{Micros, limits::Limits};

use super::{ConfigError, source::Source};

pub(super) fn defaults(source: &Source) -> Result<Limits, ConfigError> {
    let actions = |key| {
        source
            .number_or_none(key, 1.0)
            .map(|limit| limit.map(|number| number as u32))
    };
    let money = |key| {
        source
            .number_or_none(key, 0.0)
            .map(|limit| limit.and_then(Micros::from_units))
    };
    Ok(Limits {
        max_actions_per_minute: actions("default_max_actions_per_minute")?,
        max_actions_per_hour: actions("default_max_actions_per_hour")?,
        max_actions_per_day: actions("default_max_actions_per_day")?,
        max_spend_per_day: money("default_max_spend_per_day")?,
        max_spend_per_month: money("default_max_spend_per_month")?,
    })
}
