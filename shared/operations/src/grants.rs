//! The grants of a token in the API: amounts in US dollars, names of operations as the catalog has them.

use std::collections::BTreeSet;

use butt_dial_domain::{
    Channel, Code, Failure, Grants, Micros, bounds,
    grants::{MAX_TOOLS, READ, Recipients, tool_name},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// US dollars.
const MAX_SPEND: f64 = 1_000_000.0;

/// The grants of a token. A part that is left out restricts nothing.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantsArgs {
    /// The channels to send and call on.
    #[serde(default)]
    channels: Option<Vec<Channel>>,
    /// Names of operations that an agent may use, with or without comms_. read: all operations that change nothing.
    #[serde(default)]
    tools: Option<Vec<String>>,
    /// The people that may be reached, at most 1,000 entries: an address, @example.com for all mail addresses of a domain,
    /// +4930* for all numbers with this beginning, or agent:<id> for an agent of the organization.
    #[serde(default)]
    recipients: Option<Vec<String>>,
    /// US dollars that may be spent with the token, and with those that replace it.
    #[serde(default)]
    #[schemars(range(min = 0, max = bounds::SPEND))]
    max_spend: Option<f64>,
    /// US dollars per day (UTC).
    #[serde(default)]
    #[schemars(range(min = 0, max = bounds::SPEND))]
    max_spend_per_day: Option<f64>,
}

#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrantsView {
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<Vec<Channel>>,
    /// Names of operations, without comms_.
    #[serde(skip_serializing_if = "Option::is_none")]
    tools: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipients: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_spend: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_spend_per_day: Option<f64>,
}

impl From<&Grants> for GrantsView {
    fn from(grants: &Grants) -> Self {
        Self {
            channels: grants.channels.as_ref().map(|all| all.iter().copied().collect()),
            tools: grants.tools.as_ref().map(|all| all.iter().cloned().collect()),
            recipients: grants.recipients.clone().map(Vec::from),
            max_spend: grants.max_spend.map(Micros::as_units),
            max_spend_per_day: grants.max_spend_per_day.map(Micros::as_units),
        }
    }
}

impl GrantsArgs {
    /// Checks and normalizes the grants. `None`: nothing is restricted. `known` are the operations that an agent may use.
    pub fn parse(self, known: &[&str]) -> Result<Option<Grants>, Failure> {
        let recipients = self.recipients.as_deref().map(Recipients::parse);
        let recipients = recipients
            .transpose()
            .map_err(|error| invalid("recipients", error.to_string()))?;
        if recipients.as_ref().is_some_and(Recipients::is_empty) {
            return Err(empty("recipients"));
        }
        let channels = self.channels.map(|channels| channels.into_iter().collect());
        if channels.as_ref().is_some_and(BTreeSet::is_empty) {
            return Err(empty("channels"));
        }
        let grants = Grants {
            channels,
            tools: self.tools.map(|names| parse_tools(&names, known)).transpose()?,
            recipients,
            max_spend: amount("maxSpend", self.max_spend)?,
            max_spend_per_day: amount("maxSpendPerDay", self.max_spend_per_day)?,
        };
        Ok((!grants.is_unrestricted()).then_some(grants))
    }
}

fn parse_tools(names: &[String], known: &[&str]) -> Result<BTreeSet<String>, Failure> {
    if names.is_empty() {
        return Err(empty("tools"));
    }
    if names.len() > MAX_TOOLS {
        return Err(invalid("tools", format!("tools has at most {MAX_TOOLS} entries")));
    }
    let parse = |(place, name): (usize, &String)| {
        let name = tool_name(name.trim());
        match name == READ || known.iter().any(|known| tool_name(known) == name) {
            true => Ok(name.to_owned()),
            false => {
                let place = place + 1;
                let message = format!("entry {place} of tools is no operation that an agent may use");
                Err(invalid("tools", message)
                    .hint("give names such as send_message, or read for all that change nothing"))
            }
        }
    };
    names.iter().enumerate().map(parse).collect()
}

fn amount(field: &'static str, dollars: Option<f64>) -> Result<Option<Micros>, Failure> {
    let Some(dollars) = dollars else { return Ok(None) };
    let micros = Micros::from_units(dollars).filter(|_| (0.0..=MAX_SPEND).contains(&dollars));
    micros
        .map(Some)
        .ok_or_else(|| invalid(field, format!("{field} is 0 to {MAX_SPEND} US dollars")))
}

fn empty(field: &'static str) -> Failure {
    invalid(field, format!("{field} is empty, so that the token could do nothing"))
        .hint("leave it out to restrict nothing")
}

fn invalid(field: &'static str, message: String) -> Failure {
    Failure::new(Code::InvalidArgument, message).detail("fields", json!([format!("grants.{field}")]))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn parse(grants: Value) -> Result<Option<Grants>, Failure> {
        serde_json::from_value::<GrantsArgs>(grants)
            .unwrap()
            .parse(&["comms_send_message"])
    }

    #[test]
    fn shows_grants_as_they_count() {
        let grants = parse(json!({
            "channels": ["sms"], "tools": ["comms_send_message", "send_message", "read"],
            "recipients": ["+1 (415) 555-0123", "Ann@Example.com"], "maxSpend": 2.5, "maxSpendPerDay": 0,
        }));
        let shown = serde_json::to_value(GrantsView::from(&grants.unwrap().unwrap())).unwrap();
        let expected = json!({
            "channels": ["sms"], "tools": ["read", "send_message"],
            "recipients": ["+14155550123", "ann@example.com"], "maxSpend": 2.5, "maxSpendPerDay": 0.0,
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn grants_without_parts_restrict_nothing() {
        assert_eq!(parse(json!({})), Ok(None));
        assert_eq!(parse(json!({ "tools": null, "maxSpend": null })), Ok(None));
    }

    #[test]
    fn refuses_grants_that_can_not_mean_anything() {
        for (grants, field) in [
            (json!({ "channels": [] }), "channels"),
            (json!({ "tools": [] }), "tools"),
            (json!({ "tools": ["comms_fly"] }), "tools"),
            (json!({ "tools": ["comms_set_agent_limits"] }), "tools"),
            (json!({ "tools": vec!["read"; MAX_TOOLS + 1] }), "tools"),
            (json!({ "recipients": [] }), "recipients"),
            (json!({ "recipients": ["bob"] }), "recipients"),
            (json!({ "maxSpend": -1 }), "maxSpend"),
            (json!({ "maxSpendPerDay": 1e9 }), "maxSpendPerDay"),
        ] {
            let refused = parse(grants.clone()).unwrap_err();
            assert_eq!(refused.code, Code::InvalidArgument, "{grants}");
            assert_eq!(
                refused.details["fields"],
                json!([format!("grants.{field}")]),
                "{grants}"
            );
        }
    }
}
