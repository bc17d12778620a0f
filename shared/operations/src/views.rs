//! Wire formats that several operations share.

use std::{borrow::Cow, collections::BTreeMap};

use butt_dial_billing::Dashboard;
use butt_dial_domain::{Channel, clock::Timestamp, limits::Limits};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// Formats a time as RFC 3339 in UTC with milliseconds.
pub fn time(at: Timestamp) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// Limits in force. A limit that is not set is omitted.
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

/// An object with each field in camel case and in snake case: the Python client documents either one, route by route. `T` has
/// fields in camel case.
pub struct BothCasings<T>(pub T);

impl<T: Serialize> Serialize for BothCasings<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::to_value(&self.0).map_err(serde::ser::Error::custom)?;
        if let Some(fields) = value.as_object_mut() {
            add_snake_case(fields);
        }
        value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for BothCasings<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        if let Some(fields) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            add_snake_case(fields);
        }
        schema
    }
}

fn add_snake_case(fields: &mut Map<String, Value>) {
    let renamed: Vec<_> = fields
        .iter()
        .map(|(name, value)| (snake_case(name), value.clone()))
        .filter(|(name, _)| !fields.contains_key(name))
        .collect();
    fields.extend(renamed);
}

fn snake_case(name: &str) -> String {
    let mut renamed = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            renamed.push('_');
        }
        renamed.push(letter.to_ascii_lowercase());
    }
    renamed
}

/// Costs by channel, in US dollars.
#[derive(Serialize)]
#[serde(transparent)]
pub struct CostsByChannel(BTreeMap<&'static str, f64>);

/// The keys that the Python client reads. `telegram` is not a channel of this program; its cost is 0.
const CLIENT_CHANNELS: [&str; 6] = ["sms", "whatsapp", "email", "voice", "telegram", "line"];

impl CostsByChannel {
    pub fn new(dashboard: &Dashboard) -> Self {
        let cost = |key| Channel::parse(key).map_or(0.0, |channel| dashboard.cost(channel).as_units());
        Self(Self::keys().map(|key| (key, cost(key))).collect())
    }

    fn keys() -> impl Iterator<Item = &'static str> {
        let channels = Channel::ALL.into_iter().map(Channel::as_str);
        let others = channels.filter(|key| !CLIENT_CHANNELS.contains(key));
        CLIENT_CHANNELS.into_iter().chain(others)
    }
}

impl JsonSchema for CostsByChannel {
    fn schema_name() -> Cow<'static, str> {
        "ByChannel".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let number = generator.subschema_for::<f64>();
        let properties: BTreeMap<_, _> = Self::keys().map(|key| (key, number.clone())).collect();
        json_schema!({
            "type": "object",
            "description": "Costs by channel, in US dollars.",
            "properties": properties,
            "required": Self::keys().collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_casings_are_present_once() {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct View {
            org_id: u8,
            token: u8,
        }
        let value = serde_json::to_value(BothCasings(View { org_id: 1, token: 2 })).unwrap();
        assert_eq!(value, json!({ "orgId": 1, "org_id": 1, "token": 2 }));
    }
}
