//! Forms of limits.

use butt_dial_domain::{Code, Failure};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::conflict::Edited;
use crate::{parts::Field, session::Posted};

/// Limits with their names.
pub const LIMITS: [(&str, &str); 5] = [
    ("maxActionsPerMinute", "Messages and calls a minute"),
    ("maxActionsPerHour", "Messages and calls an hour"),
    ("maxActionsPerDay", "Messages and calls a day"),
    ("maxSpendPerDay", "US dollars a day"),
    ("maxSpendPerMonth", "US dollars a month"),
];

/// A field with a wrong value.
pub fn wrong(field: &'static str, message: &'static str) -> Failure {
    Failure::new(Code::InvalidArgument, message).detail("fields", vec![field])
}

/// Reads limits; an empty field removes its limit.
pub fn limits(posted: &Posted) -> Result<Value, Failure> {
    let mut limits = json!({});
    for (name, _) in LIMITS {
        if !posted.fields.contains_key(name) {
            continue;
        }
        limits[name] = match posted.optional(name) {
            None => Value::Null,
            Some(number) if name.starts_with("maxActions") => {
                json!(
                    number
                        .parse::<u32>()
                        .map_err(|_| wrong(name, "a limit is a whole number"))?
                )
            }
            Some(amount) => json!(
                amount
                    .parse::<f64>()
                    .map_err(|_| wrong(name, "a limit is an amount such as 20"))?
            ),
        };
    }
    Ok(limits)
}

/// Renders the fields of limits. `only`: of these names.
pub fn limit_fields(current: &Value, failure: Option<&Failure>, only: &[&str]) -> Markup {
    html! {
        @for (name, label) in LIMITS.into_iter().filter(|(name, _)| only.is_empty() || only.contains(name)) {
            (Field::new(name, label).value(&current[name].as_f64().map(|limit| limit.to_string()).unwrap_or_default()).checked_by(failure).render())
        }
    }
}

/// Lists the limits of a form as they are now.
pub fn edited<'a>(posted: &Posted, current: &Value) -> Vec<Edited<'a>> {
    let given = LIMITS.into_iter().filter(|(name, _)| posted.fields.contains_key(*name));
    given
        .map(|(name, label)| Edited {
            name,
            label,
            now: current[name]
                .as_f64()
                .map(|limit| limit.to_string())
                .unwrap_or_default(),
        })
        .collect()
}
