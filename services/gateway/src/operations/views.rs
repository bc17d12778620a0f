//! How the product's nouns look on the wire, where more than one operation shows them.

use butt_dial_comms::billing::usage::Dashboard;
use butt_dial_domain::{Channel, clock::Timestamp, limits::Limits};
use schemars::JsonSchema;
use serde::Serialize;

pub fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Limits in force; a limit that is not set is left out.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LimitsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_actions_per_minute: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_actions_per_hour: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_actions_per_day: Option<u32>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_spend_per_day: Option<f64>,
    /// US dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_spend_per_month: Option<f64>,
}

impl From<Limits> for LimitsView {
    fn from(limits: Limits) -> Self {
        Self {
            max_actions_per_minute: limits.max_actions_per_minute,
            max_actions_per_hour: limits.max_actions_per_hour,
            max_actions_per_day: limits.max_actions_per_day,
            max_spend_per_day: limits.max_spend_per_day.map(|m| m.as_units()),
            max_spend_per_month: limits.max_spend_per_month.map(|m| m.as_units()),
        }
    }
}

/// Messages and money by channel, in US dollars.
#[derive(Serialize, JsonSchema)]
pub struct ByChannel {
    sms: f64,
    whatsapp: f64,
    email: f64,
    voice: f64,
    telegram: f64,
    line: f64,
}

impl ByChannel {
    pub fn costs(dashboard: &Dashboard) -> Self {
        Self {
            sms: dashboard.cost(Channel::Sms).as_units(),
            whatsapp: dashboard.cost(Channel::Whatsapp).as_units(),
            email: dashboard.cost(Channel::Email).as_units(),
            voice: dashboard.cost(Channel::Voice).as_units(),
            // The Python client reads all six; these channels do not exist yet and cost nothing.
            telegram: 0.0,
            line: 0.0,
        }
    }
}
