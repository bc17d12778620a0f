//! Brings the arguments of a request into the form that the schema declares, before they are parsed: other spellings of a
//! name, `null` for an absent value, whole numbers with a fraction of zero. Refuses unknown names.

use butt_dial_domain::Failure;
use serde_json::{Map, Number, Value};

use super::invalid;

/// Older names of arguments, with the present one.
const ALIASES: &[(&str, &str)] = &[
    ("agentName", "displayName"),
    ("callSid", "callId"),
    ("localNumber", "callerNumber"),
    ("mediaUrls", "media"),
    ("messageId", "externalId"),
];
/// Two names that are this similar (0 to 1) are probably the same word with a typing error.
const TYPING_ERROR: f64 = 0.8;
const SUGGESTION: f64 = 0.5;
/// Characters of a name that are shown in an error.
const SHOWN_NAME: usize = 64;

pub struct Normalized {
    pub values: Map<String, Value>,
    /// Names that the schema does not declare. Empty, unless `accepts_extra`.
    pub ignored: Vec<String>,
}

/// Normalizes the arguments of an operation. `aliases` are its own further names. With `accepts_extra`, unknown names are returned instead of refused, except
/// for those that are probably a typing error.
pub fn normalize(
    args: Map<String, Value>,
    schema: &Map<String, Value>,
    aliases: &[(&str, &str)],
    accepts_extra: bool,
) -> Result<Normalized, Failure> {
    let mut ignored = Vec::new();
    let values = normalize_object(args, schema, aliases, "", |name, nearest| {
        let is_typing_error = nearest.is_some_and(|(_, similarity)| similarity >= TYPING_ERROR);
        if !accepts_extra || is_typing_error {
            return Err(unknown_argument(name, nearest));
        }
        ignored.push(shown(name));
        Ok(())
    })?;
    Ok(Normalized { values, ignored })
}

/// Returns whether both names are spellings of one: `idempotency_key`, `idempotencykey` and `idempotencyKey`.
pub fn is_same_name(one: &str, other: &str) -> bool {
    letters(one).eq(letters(other))
}

fn letters(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-'))
        .flat_map(char::to_lowercase)
}

/// The declared name that is most similar to an unknown one, with its similarity.
type Nearest<'a> = Option<(&'a str, f64)>;

fn normalize_object(
    args: Map<String, Value>,
    schema: &Map<String, Value>,
    aliases: &[(&str, &str)],
    path: &str,
    mut on_unknown: impl FnMut(&str, Nearest<'_>) -> Result<(), Failure>,
) -> Result<Map<String, Value>, Failure> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return Ok(args);
    };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|required| required == name));
    let is_argument = path.is_empty();
    let mut values = Map::new();
    for (given, value) in args {
        let Some(name) = declared_name(&given, properties, aliases) else {
            on_unknown(&given, nearest(&given, properties))?;
            continue;
        };
        let path = joined(path, name);
        // Within an object, `null` can be a value: it removes a limit.
        if value.is_null() && is_argument && !is_required(name) {
            continue;
        }
        let value = normalize_value(value, &properties[name], &path)?;
        match values.get(name) {
            Some(present) if *present != value => {
                return Err(invalid(
                    format!("{path} is present twice, under two names, with different values"),
                    &path,
                ));
            }
            _ => drop(values.insert(name.to_owned(), value)),
        }
    }
    Ok(values)
}

/// Finds the declared name of which `given` is a spelling or an older name.
fn declared_name<'a>(given: &str, properties: &'a Map<String, Value>, aliases: &[(&str, &str)]) -> Option<&'a str> {
    let find = |wanted: &str| properties.keys().find(|name| is_same_name(name, wanted));
    let mut known = aliases.iter().chain(ALIASES);
    properties
        .get_key_value(given)
        .map(|(name, _)| name)
        .or_else(|| find(given))
        .or_else(|| known.find_map(|(alias, name)| find(name).filter(|_| is_same_name(alias, given))))
        .map(String::as_str)
}

fn normalize_value(value: Value, schema: &Value, path: &str) -> Result<Value, Failure> {
    let allows = |kind: &str| alternatives(schema).any(|schema| has_type(schema, kind));
    Ok(match value {
        Value::Object(fields) => match alternatives(schema).find_map(object_schema) {
            Some(schema) => Value::Object(normalize_object(fields, schema, &[], path, |name, nearest| {
                Err(unknown_argument(&joined(path, name), nearest))
            })?),
            None => Value::Object(fields),
        },
        Value::Array(items) => match alternatives(schema).find_map(|schema| schema.get("items")) {
            Some(schema) => Value::Array(
                items
                    .into_iter()
                    .enumerate()
                    .map(|(index, item)| normalize_value(item, schema, &format!("{path}[{index}]")))
                    .collect::<Result<_, _>>()?,
            ),
            // Otherwise serde takes a list for the fields of a struct, in their order.
            None if allows("object") && !allows("array") => {
                return Err(invalid(format!("{path} must be an object"), path));
            }
            None => Value::Array(items),
        },
        Value::Number(number) if allows("integer") => Value::Number(whole(&number).unwrap_or(number)),
        other => other,
    })
}

/// Returns the schemas of which one applies.
pub(super) fn alternatives(schema: &Value) -> impl Iterator<Item = &Value> {
    let listed = ["anyOf", "oneOf"]
        .into_iter()
        .filter_map(|key| schema.get(key)?.as_array())
        .flatten();
    std::iter::once(schema).chain(listed)
}

fn object_schema(schema: &Value) -> Option<&Map<String, Value>> {
    schema.as_object().filter(|schema| schema.contains_key("properties"))
}

fn has_type(schema: &Value, kind: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == kind,
        Some(Value::Array(names)) => names.iter().any(|name| name == kind),
        _ => false,
    }
}

/// Returns `5` for `5.0`: JSON has one kind of numbers, and some clients write every one with a fraction.
fn whole(number: &Number) -> Option<Number> {
    /// Beyond it, neighbouring whole numbers are the same `f64`.
    const MAX: f64 = 9_007_199_254_740_992.0;
    let float = number.as_f64().filter(|_| number.is_f64())?;
    if float.fract() != 0.0 || float.abs() > MAX {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is a whole number in range")]
    Some(Number::from(float as i64))
}

fn nearest<'a>(given: &str, properties: &'a Map<String, Value>) -> Nearest<'a> {
    let given: String = letters(given).take(SHOWN_NAME).collect();
    properties
        .keys()
        .map(|name| {
            let known: String = letters(name).collect();
            (name.as_str(), strsim::normalized_damerau_levenshtein(&given, &known))
        })
        .max_by(|one, other| one.1.total_cmp(&other.1))
        .filter(|(_, similarity)| *similarity >= SUGGESTION)
}

fn unknown_argument(name: &str, nearest: Nearest<'_>) -> Failure {
    let name = shown(name);
    let refusal = invalid(format!("there is no argument {name}"), &name);
    match nearest {
        Some((known, _)) => refusal.hint(format!("did you mean {known}?")),
        None => refusal.hint("remove it: the description of this operation lists all arguments"),
    }
}

fn joined(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    }
}

/// Returns a name of the caller, safe for texts.
fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(SHOWN_NAME).collect()
}

#[cfg(test)]
mod tests {
    use butt_dial_domain::Code;
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn schema() -> Map<String, Value> {
        object(json!({
            "required": ["to", "callbackUrl"],
            "properties": {
                "to": { "type": "string" },
                "callbackUrl": { "type": ["string", "null"] },
                "callId": { "type": ["string", "null"] },
                "idempotencyKey": { "type": ["string", "null"] },
                "limit": { "type": ["integer", "null"] },
                "cost": { "type": ["number", "null"] },
                "variables": { "type": "object", "additionalProperties": { "type": "string" } },
                "place": { "anyOf": [
                    { "type": "object", "properties": { "zipCode": { "type": "integer" } } },
                    { "type": "null" }
                ] },
                "places": { "type": "array", "items": { "type": "object", "properties": { "zipCode": {} } } },
            },
        }))
    }

    fn values(args: Value) -> Value {
        Value::Object(
            normalize(object(args), &schema(), &[], false)
                .map_err(|f| f.message)
                .unwrap()
                .values,
        )
    }

    fn refusal(args: Value, accepts_extra: bool) -> (String, String) {
        let failure = normalize(object(args), &schema(), &[], accepts_extra).err().unwrap();
        assert_eq!(failure.code, Code::InvalidArgument);
        let remediation = failure.envelope()["remediation"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        (failure.message.into_owned(), remediation)
    }

    #[test]
    fn accepts_other_spellings_of_a_name() {
        for name in [
            "idempotencyKey",
            "idempotency_key",
            "idempotencykey",
            "Idempotency-Key",
            "IdempotencyKey",
        ] {
            assert_eq!(
                values(json!({ (name): "a" })),
                json!({ "idempotencyKey": "a" }),
                "{name}"
            );
        }
        for name in ["callId", "call_id", "callSid", "call_sid"] {
            assert_eq!(values(json!({ (name): "a" })), json!({ "callId": "a" }), "{name}");
        }
        assert_eq!(
            values(json!({ "place": { "zip_code": 5 }, "places": [{ "zip_code": 5 }] })),
            json!({ "place": { "zipCode": 5 }, "places": [{ "zipCode": 5 }] })
        );
    }

    #[test]
    fn refuses_two_values_of_one_argument() {
        let (message, _) = refusal(json!({ "callId": "a", "call_sid": "b" }), true);
        assert!(message.starts_with("callId is present twice"), "{message}");
        assert_eq!(
            values(json!({ "callId": "a", "call_sid": "a" })),
            json!({ "callId": "a" })
        );
    }

    #[test]
    fn null_is_absent_unless_required() {
        let args =
            json!({ "to": "a", "callbackUrl": null, "callId": null, "limit": null, "variables": null, "places": null });
        assert_eq!(values(args), json!({ "to": "a", "callbackUrl": null }));
        let within = json!({ "place": { "zipCode": null } });
        assert_eq!(values(within.clone()), within);
    }

    #[test]
    fn reads_whole_numbers_with_fraction_of_zero() {
        assert_eq!(
            values(json!({ "limit": 5.0, "cost": 5.0 })),
            json!({ "limit": 5, "cost": 5.0 })
        );
        assert_eq!(values(json!({ "limit": 5.5 })), json!({ "limit": 5.5 }));
        assert_eq!(
            values(json!({ "limit": -2.0, "place": { "zipCode": 3.0 } })),
            json!({ "limit": -2, "place": { "zipCode": 3 } })
        );
        assert_eq!(values(json!({ "limit": 1e300 })), json!({ "limit": 1e300 }));
    }

    #[test]
    fn refuses_list_in_place_of_object() {
        assert_eq!(refusal(json!({ "place": [5] }), false).0, "place must be an object");
        assert_eq!(
            refusal(json!({ "variables": ["a"] }), false).0,
            "variables must be an object"
        );
    }

    #[test]
    fn refuses_unknown_name_with_suggestion() {
        let (message, remediation) = refusal(json!({ "idempotency": "a" }), false);
        assert_eq!(
            (message.as_str(), remediation.as_str()),
            ("there is no argument idempotency", "did you mean idempotencyKey?")
        );
        assert_eq!(
            refusal(json!({ "colour": "red" }), false).0,
            "there is no argument colour"
        );
        assert_eq!(
            refusal(json!({ "place": { "city": 1 } }), true).0,
            "there is no argument place.city"
        );
    }

    #[test]
    fn returns_extra_names_but_refuses_typing_errors() {
        let normalized = normalize(object(json!({ "to": "a", "colour": "red" })), &schema(), &[], true);
        assert_eq!(normalized.ok().unwrap().ignored, ["colour"]);
        assert_eq!(
            refusal(json!({ "idempotencykye": "a" }), true).1,
            "did you mean idempotencyKey?"
        );
    }
}
